package test

import (
	"os"
	"strings"
	"testing"
)

// attackers are the headings of docs/security.md under which something is promised.
var attackers = []string{
	"A handler of another user than the supervisor's", "A handler of root, under a supervisor of root",
	"A handler of the supervisor's own user, without root", "A client of the control socket", "A peer on the network",
}

// TestPromisesAreShown holds docs/security.md to the tests: each row of each attacker's table names tests, which are there.
func TestPromisesAreShown(t *testing.T) {
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range unshown(string(page), testsOf(t)) {
		t.Error(fault)
	}
}

// unshown are the promises that no test shows.
func unshown(page string, tests map[string]bool) (found []string) {
	for _, attacker := range attackers {
		_, section, _ := strings.Cut(page, "\n### "+attacker+"\n")
		section, _, _ = strings.Cut(section, "\n##")
		rows := 0
		for line := range strings.Lines(section) {
			cells := strings.Split(strings.Trim(line, "|\n "), " | ")
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || cells[len(cells)-1] == "Shown by" {
				continue
			}
			rows++
			named := namedTest.FindAllStringSubmatch(cells[len(cells)-1], -1)
			if len(cells) != 3 || len(named) == 0 {
				found = append(found, attacker+": no test shows "+cells[0])
			}
			for _, test := range named {
				if name := test[1] + "." + test[2]; !tests[name] {
					found = append(found, attacker+": "+name+" is no test")
				}
			}
		}
		if rows == 0 {
			found = append(found, attacker+": nothing is promised")
		}
	}
	return found
}

func TestUnshownPromisesAreSeen(t *testing.T) {
	whole := ""
	for _, attacker := range attackers {
		whole += "\n### " + attacker + "\n\n| It | Enforced by | Shown by |\n| --- | --- | --- |\n| tries | the kernel | `queue.TestOrder` |\n"
	}
	tests := map[string]bool{"queue.TestOrder": true}
	for _, c := range []struct{ old, now, want string }{
		{"", "", ""},
		{"| tries | the kernel | `queue.TestOrder` |", "| tries | the kernel | believe it |", attackers[0] + ": no test shows tries"},
		{"queue.TestOrder", "queue.TestNone", attackers[0] + ": queue.TestNone is no test"},
		{"| tries | the kernel | `queue.TestOrder` |\n", "", attackers[0] + ": nothing is promised"},
		{"### " + attackers[0], "### Somebody", attackers[0] + ": nothing is promised"},
	} {
		if got := strings.Join(unshown(strings.Replace(whole, c.old, c.now, 1), tests), "; "); got != c.want {
			t.Errorf("%q for %q: %q, want %q", c.now, c.old, got, c.want)
		}
	}
}
