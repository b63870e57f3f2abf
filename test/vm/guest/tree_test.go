package guest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// entries reads an archive back: mode, name and data of each file.
func entries(t *testing.T, packed []byte) []string {
	t.Helper()
	var found []string
	padded := func(n int) []byte {
		b := packed[:n]
		packed = packed[(n+3)&^3:]
		return b
	}
	for {
		field := func(i int) int {
			n, err := strconv.ParseUint(string(packed[6+8*i:14+8*i]), 16, 32)
			if err != nil || string(packed[:6]) != "070701" {
				t.Fatalf("no header: %q", packed[:110])
			}
			return int(n)
		}
		mode, size, length := field(1), field(6), field(11)
		head := padded(110 + length)
		name := strings.TrimSuffix(string(head[110:]), "\x00")
		if name == "TRAILER!!!" {
			return found
		}
		found = append(found, fmt.Sprintf("%o %s %s", mode, name, padded(size)))
	}
}

func TestPack(t *testing.T) {
	host := t.TempDir()
	for name, text := range map[string]string{"kept": "12345", "dir/below": "", "left/out": "x", ".dot": ""} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(host, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(host, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../kept", filepath.Join(host, "dir/link")); err != nil {
		t.Fatal(err)
	}
	tree := Tree{}
	tree.Text("/etc/deep/file", "text\n")
	tree.Text("bin/../lib/x", "")
	if err := tree.Folder("data", host, func(rel string) bool { return rel == "left" }); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := tree.Pack(&packed); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"40755 data ", "100640 data/.dot ", "40755 data/dir ", "100640 data/dir/below ", "120777 data/dir/link ../kept", "100640 data/kept 12345",
		"40755 etc ", "40755 etc/deep ", "100644 etc/deep/file text\n", "40755 usr ", "40755 usr/lib ", "100644 usr/lib/x ",
	}
	if got := entries(t, packed.Bytes()); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("packed\n%q\nwant\n%q", got, want)
	}
}

func TestProgramBringsItsLibraries(t *testing.T) {
	tree := NewTree()
	if err := tree.Programs("dash"); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, f := range tree {
		if f.host != "" {
			names = append(names, filepath.Base(name))
		}
	}
	for _, want := range []string{"dash", "libc.so.6", "ld-linux-x86-64.so.2"} {
		if !strings.Contains(strings.Join(names, " "), want) {
			t.Errorf("%s is not in %q", want, names)
		}
	}
	if err := tree.Programs("no-such-package"); err == nil {
		t.Error("a package that is not there was added")
	}
}

func TestLastExit(t *testing.T) {
	for console, want := range map[string]string{
		"": "", "VM: up\n": "", "VM-EXIT 0\r\n": "0", "VM-EXIT 0\nVM-EXIT 2\r\nreboot\n": "2", "it says VM-EXIT 0\n": "", "VM-EXIT 1": "1",
	} {
		if got, err := lastExit(strings.NewReader(console)); got != want || err != nil {
			t.Errorf("%q: %q, %v", console, got, err)
		}
	}
}
