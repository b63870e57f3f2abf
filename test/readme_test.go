package test

import (
	"os"
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
	dir := t.TempDir()
	program, config := filepath.Join(dir, "main.go"), filepath.Join(dir, "greet.toml")
	write(t, program, block(t, string(readme), "go"))
	write(t, config, block(t, string(readme), "toml"))
	build(t, filepath.Join(dir, "bin")+"/", "../cmd/aem-exec")
	build(t, filepath.Join(dir, "bin/greet"), program)
	address := freeAddress(t)
	replace(t, config, "127.0.0.1:7070", address)

	r := run(t, dir, "greet.toml")
	if out, status := r.command("check", "--offline"); status != 0 || !strings.HasSuffix(out, "ok, 1 job in 1 app\n") {
		t.Errorf("check: status %d\n%s", status, out)
	}
	if got := talk(t, address, ""); !strings.HasPrefix(got, "hello 127.0.0.1:") || !strings.Contains(got, ", you are event ") {
		t.Errorf("greet: %q", got)
	}
	checkBooks(t, r, 1)
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

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
