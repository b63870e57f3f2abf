package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestReadmeWalk makes the handler that the README shows in each language, word by word, and connects to it.
func TestReadmeWalk(t *testing.T) {
	aemtest.Require(t, aemtest.CC, aemtest.Python)
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	for _, c := range []struct {
		language, file string
		build          []string // with the file behind it
		change         *strings.Replacer
	}{
		{"go", "main.go", []string{"go", "build", "-o", "bin/greet"}, strings.NewReplacer()},
		{"c", "greet.c", []string{"cc", "-I", "sdk/c", "-o", "bin/greet"}, strings.NewReplacer()},
		{"python", "greet.py", nil, strings.NewReplacer("bin/greet", "./greet.py")},
		{"sh", "greet.sh", nil, strings.NewReplacer("bin/greet", "./greet.sh", `life     = "capsule"`, "", `"direct"`, `"socket"`)},
	} {
		t.Run(c.language, func(t *testing.T) {
			s := prepare(t, myself(), "")
			t.Setenv("STATE_DIRECTORY", s.path("state")) // the README's file leaves it to the user's default
			if err := os.WriteFile(s.path(c.file), []byte(block(t, readme, c.language)), 0o755); err != nil {
				t.Fatal(err)
			}
			for link, target := range map[string]string{"sdk": "../sdk", "aem.py": "../sdk/python/aem.py"} {
				target, err := filepath.Abs(target)
				if err == nil {
					err = os.Symlink(target, s.path(link))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if c.build != nil {
				build := exec.Command(c.build[0], append(c.build[1:], s.path(c.file))...)
				if build.Dir = s.dir; c.language == "go" {
					build.Dir, build.Args[3] = "", s.path("bin/greet") // our module is here
				}
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("build the README's handler: %v\n%s", err, out)
				}
			}
			address := freeAddress(t)
			s.write("aem.toml", c.change.Replace(strings.ReplaceAll(block(t, readme, "toml"), "127.0.0.1:7070", address)))
			if out := s.must("check"); !strings.HasSuffix(out, "aem.toml: ok, 1 job in 1 app\n") {
				t.Error(out)
			}
			s.run()
			if got, err := converse("tcp", address, ""); err != nil || !strings.HasPrefix(got, "hello 127.0.0.1:") || !strings.Contains(got, ", you are event ") {
				t.Errorf("greet: %q, %v", got, err)
			}
			if c.language == "go" {
				s.settled("mine", "greet", 1)
				s.walk(block(t, readme, "console"))
			}
			s.stop()
		})
	}
}

// TestExamplesOfThePeers checks the file that the examples for users of cron and others make together.
func TestExamplesOfThePeers_R210(t *testing.T) {
	text, err := os.ReadFile("../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(text), "\n```toml\n")[1:]
	for i, example := range examples {
		examples[i], _, _ = strings.Cut(example, "\n```\n")
	}
	s := prepare(t, myself(), strings.Join(examples, "\n"))
	if out := s.must("check", "--offline"); !strings.HasSuffix(out, "aem.toml: ok, 5 jobs in 5 apps\n") || strings.Contains(out, "warning") {
		t.Error(out)
	}
}

// walk does what a page shows at a prompt, with our file for its own, and compares what comes of it.
func (s *supervisor) walk(console string) {
	s.t.Helper()
	for _, step := range strings.Split(console, "$ ")[1:] {
		command, want, _ := strings.Cut(step, "\n")
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "greet.toml", "aem.toml"))
		cmd.Dir = s.dir
		out, err := cmd.CombinedOutput()
		if got := sameTimes(string(out)); err != nil || got != sameTimes(want) {
			s.t.Errorf("%s: %v\n%s\nwant\n%s", command, err, got, sameTimes(want))
		}
	}
}

// sameTimes is a text with one time instead of all of them.
func sameTimes(text string) string {
	return regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(text, "0000-00-00 00:00:00")
}

// block is the one fenced block of a language in a text.
func block(t *testing.T, text, language string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n```"+language+"\n")
	code, rest, closed := strings.Cut(after, "\n```\n")
	if !found || !closed || strings.Contains(rest, "\n```"+language+"\n") {
		t.Fatalf("want one block of %s", language)
	}
	return code + "\n"
}

// TestLinks follows the links between our documents.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md", "../sdk/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range namedDocument.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			file, _, _ := strings.Cut(link[1], "#")
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), file)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
