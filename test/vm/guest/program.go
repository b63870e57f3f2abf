package guest

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// libraries are where the host's loader finds libraries (man 8 ld.so), and with them the tree's.
var libraries = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// Programs adds the programs of a Debian package of the host, with their loader and libraries.
func (t Tree) Programs(pkg string) error {
	files, err := output("", "dpkg-query", "--listfiles", pkg)
	if err != nil {
		return err
	}
	for line := range strings.Lines(files) {
		host := strings.TrimSpace(line)
		if dir := path.Base(path.Dir(host)); !path.IsAbs(host) || dir != "bin" && dir != "sbin" {
			continue // no program, or a remark
		}
		if to, err := os.Readlink(host); err == nil {
			t.Link(host, to)
			continue
		}
		if err := t.program(host); err != nil {
			return err
		}
	}
	return nil
}

// program adds a program and what it needs; a script needs nothing.
func (t Tree) program(host string) error {
	if err := t.File(host, host); err != nil {
		return err
	}
	var noELF *elf.FormatError
	if err := t.needed(host); err != nil && !errors.As(err, &noELF) {
		return err
	}
	return nil
}

// needed adds what the loader needs to run a program or a library of the host.
func (t Tree) needed(host string) error {
	f, err := elf.Open(host)
	if err != nil {
		return fmt.Errorf("read %s: %w", host, err)
	}
	defer f.Close() //nolint:errcheck // it was read
	names, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read the libraries of %s: %v", host, err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader := make([]byte, p.Filesz-1) // without its NUL
		if _, err := p.ReadAt(loader, 0); err != nil {
			return fmt.Errorf("read the loader of %s: %v", host, err)
		}
		if err := t.File(string(loader), string(loader)); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := t.library(name); err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
	}
	return nil
}

// library adds a library, and those that it needs.
func (t Tree) library(name string) error {
	for _, dir := range libraries {
		at := filepath.Join(dir, name)
		if _, there := t[place(at)]; there {
			return nil
		}
		if t.File(at, at) == nil {
			return t.needed(at)
		}
	}
	return fmt.Errorf("library %s is in none of %v", name, libraries)
}
