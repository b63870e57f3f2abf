package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirements is how many rows docs/requirements.md has: R001 to R225.
const requirements = 225

var (
	requirementRow  = regexp.MustCompile(`(?m)^\| (R\d{3}) \| ([a-z ]+) \| (.+) \|$`)
	namedTest       = regexp.MustCompile("`([a-z/-]+)\\.((?:Test|Fuzz)\\w+)`")
	namedDocument   = regexp.MustCompile(`\]\(([^)]+)\)`)
	declaredTest    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	numberInTest    = regexp.MustCompile(`_(R\d{3})`)
	statesOfThePage = []string{"works", "stands in", "not yet", "not on this kernel"}
)

func TestRequirements(t *testing.T) {
	page, err := os.ReadFile("../docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults(string(page), testsOf(t), exists) {
		t.Error(fault)
	}
}

// testsOf is every test of the repository, as package.Name.
func testsOf(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declaredTest.FindAllStringSubmatch(string(text), -1) {
			tests[strings.TrimPrefix(filepath.Dir(path), "../")+"."+m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// exists reports whether a link of a page in docs leads to a file.
func exists(link string) bool {
	link, _, _ = strings.Cut(link, "#")
	_, err := os.Stat(filepath.Join("../docs", link))
	return err == nil
}

// faults are where the page is not whole or not true: rows that are missing, states without a meaning, tests and
// documents that are not there, and tests that bear a number which the row of that number does not name.
func faults(page string, tests map[string]bool, exists func(link string) bool) []string {
	var found []string
	named := map[string][]string{} // by requirement
	for _, m := range requirementRow.FindAllStringSubmatch(page, -1) {
		id, state, text := m[1], m[2], m[3]
		if _, twice := named[id]; twice {
			found = append(found, id+" has two rows")
		}
		named[id] = []string{}
		for _, test := range namedTest.FindAllStringSubmatch(text, -1) {
			name := test[1] + "." + test[2]
			named[id] = append(named[id], name)
			if !tests[name] {
				found = append(found, fmt.Sprintf("%s names %s, which is no test", id, name))
			}
		}
		links := namedDocument.FindAllStringSubmatch(text, -1)
		for _, link := range links {
			if !exists(link[1]) {
				found = append(found, fmt.Sprintf("%s links %s, which is not there", id, link[1]))
			}
		}
		switch {
		case !slices.Contains(statesOfThePage, state):
			found = append(found, fmt.Sprintf("%s has the state %q, which the page does not explain", id, state))
		case state == "works" && len(named[id]) == 0 && len(links) == 0:
			found = append(found, id+" works, and nothing shows it")
		}
	}
	for n := range requirements {
		if id := fmt.Sprintf("R%03d", n+1); named[id] == nil {
			found = append(found, id+" has no row")
		}
	}
	for test := range tests {
		for _, m := range numberInTest.FindAllStringSubmatch(test, -1) {
			if !slices.Contains(named[m[1]], test) {
				found = append(found, fmt.Sprintf("%s bears %s, whose row does not name it", test, m[1]))
			}
		}
	}
	slices.Sort(found)
	return found
}

func TestFaultsAreSeen(t *testing.T) {
	var rows strings.Builder
	for n := range requirements {
		fmt.Fprintf(&rows, "| R%03d | not yet | something |\n", n+1)
	}
	whole := rows.String()
	tests := map[string]bool{"queue.TestOrder": true}
	for _, c := range []struct {
		name, row string
		tests     map[string]bool
		want      []string
	}{
		{"as it should be", "| R007 | works | it orders `queue.TestOrder` |", tests, nil},
		{"a document", "| R007 | works | [delivery](delivery.md) |", tests, nil},
		{"no row", "", tests, []string{"R007 has no row"}},
		{"two rows", "| R007 | not yet | |\n| R007 | not yet | x |\n| R007 | not yet | y |", tests, []string{"R007 has two rows"}},
		{"no such state", "| R007 | nearly | x |", tests, []string{`R007 has the state "nearly", which the page does not explain`}},
		{"no proof", "| R007 | works | believe it |", tests, []string{"R007 works, and nothing shows it"}},
		{"no such test", "| R007 | works | `queue.TestNone` |", tests, []string{"R007 names queue.TestNone, which is no test"}},
		{"no such document", "| R007 | works | [here](nowhere.md) |", tests, []string{"R007 links nowhere.md, which is not there"}},
		{"a test that is not named", "| R007 | not yet | x |", map[string]bool{"queue.TestOrder_R007": true},
			[]string{"queue.TestOrder_R007 bears R007, whose row does not name it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := strings.Replace(whole, "| R007 | not yet | something |", c.row, 1)
			got := faults(page, c.tests, func(link string) bool { return link == "delivery.md" })
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
