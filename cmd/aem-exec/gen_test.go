package main

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// TestSkeletonsAreWhole_R062_R125 has every language's own tool read the skeleton of every type.
func TestSkeletonsAreWhole_R062_R125(t *testing.T) {
	aemtest.Require(t, aemtest.CC, aemtest.Python)
	sdk, err := filepath.Abs("../../sdk/c")
	if err != nil {
		t.Fatal(err)
	}
	check := map[string]struct {
		file    string
		command []string
	}{
		"go":     {"handler.go", []string{"go", "vet"}},
		"c":      {"handler.c", []string{"cc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", sdk}},
		"python": {"handler.py", []string{"python3", "-m", "py_compile"}},
		"sh":     {"handler.sh", []string{"sh", "-n"}},
	}
	compiled := []string{"socket.accept", "topic", "supervisor.agent"} // Go's is slow: the others differ in facts only
	for _, typ := range source.Types() {
		for _, language := range languageNames() {
			t.Run(typ.Name+" "+language, func(t *testing.T) {
				var out bytes.Buffer
				p := &program{out: &out, err: os.Stderr}
				if err := p.generate(language, typ.Name); err != nil {
					t.Fatal(err)
				}
				c := check[language]
				file := filepath.Join(t.TempDir(), c.file)
				if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				if language == "go" {
					if text, err := format.Source(out.Bytes()); err != nil || !bytes.Equal(text, out.Bytes()) {
						t.Fatalf("not gofmt'ed, or no Go: %v\n%s", err, out.Bytes())
					}
					if !slices.Contains(compiled, typ.Name) {
						return
					}
				}
				if text, err := exec.Command(c.command[0], append(c.command[1:], file)...).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s\n%s", err, text, out.Bytes())
				}
			})
		}
	}
}

func TestSkeletonOfWhatIsNotThere(t *testing.T) {
	p := &program{out: os.Stdout, err: os.Stderr}
	for _, c := range [][2]string{{"cobol", "timer"}, {"c", "timr"}} {
		if err := p.generate(c[0], c[1]); err == nil {
			t.Errorf("%v: want an error", c)
		}
	}
}
