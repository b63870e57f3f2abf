package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeWalk makes the handler that the README shows, word by word, and connects to it.
func TestReadmeWalk(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, []byte(block(t, string(readme), "go")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := prepare(t, myself(), "")
	t.Setenv("STATE_DIRECTORY", s.path("state")) // the README's file leaves it to the user's default
	if out, err := exec.Command("go", "build", "-o", s.path("bin/greet"), program).CombinedOutput(); err != nil {
		t.Fatalf("build the README's handler: %v\n%s", err, out)
	}
	address := freeAddress(t)
	s.write("aem.toml", strings.ReplaceAll(block(t, string(readme), "toml"), "127.0.0.1:7070", address))
	if out := s.must("check"); !strings.HasSuffix(out, "aem.toml: ok, 1 job in 1 app\n") {
		t.Error(out)
	}
	s.run()
	if got, err := converse("tcp", address, ""); err != nil || !strings.HasPrefix(got, "hello 127.0.0.1:") || !strings.Contains(got, ", you are event ") {
		t.Errorf("greet: %q, %v", got, err)
	}
	s.stop()
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
