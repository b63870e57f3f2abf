package guest

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is the files of a guest, by their path without the first slash. The directories above a file need not be named.
// It is a value: files of the host are read when it is packed.
type Tree map[string]file

// file is where the bytes of one file come from.
type file struct {
	mode uint32 // with the type
	host string // a file of the host
	text string // if there is none: the contents, or where a link leads
}

// NewTree is the directories and links that every Linux system has.
func NewTree() Tree {
	t := Tree{}
	for _, top := range merged {
		t[top] = file{mode: typeLink | 0o777, text: "usr/" + top}
		t.Directory("usr/"+top, 0o755)
	}
	for _, dir := range []string{"dev", "etc", "proc", "root", "run", "sys", "var"} {
		t.Directory(dir, 0o755)
	}
	t.Directory("tmp", 0o1777)
	return t
}

// merged are the directories whose files are below /usr (file-hierarchy(7)).
var merged = []string{"bin", "lib", "lib64", "sbin"}

// place is where a path of a guest stands in the tree.
func place(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if top, _, below := strings.Cut(name, "/"); below && slices.Contains(merged, top) {
		return "usr/" + name
	}
	return name
}

// Text adds a file with these contents.
func (t Tree) Text(name, text string) { t[place(name)] = file{mode: typeFile | 0o644, text: text} }

// Link adds a symbolic link.
func (t Tree) Link(name, to string) { t[place(name)] = file{mode: typeLink | 0o777, text: to} }

// Directory adds a directory.
func (t Tree) Directory(name string, mode uint32) { t[place(name)] = file{mode: typeDirectory | mode} }

// File adds a file of the host, or what a link leads to.
func (t Tree) File(name, host string) error {
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	t[place(name)] = file{mode: typeFile | uint32(info.Mode().Perm()), host: host}
	return nil
}

// Folder adds a folder of the host but for what skip says of paths below it. Links stay what they are.
func (t Tree) Folder(name, host string, skip func(rel string) bool) error {
	return filepath.WalkDir(host, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, at)
		if err != nil || rel == "." {
			return err
		}
		switch below := path.Join(name, rel); {
		case skip(rel) && d.IsDir():
			return fs.SkipDir
		case skip(rel) || slices.Contains(merged, place(below)): // a link of ours leads there
			return nil
		case d.IsDir():
			t.Directory(below, 0o755)
			return nil
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(at)
			t.Link(below, to)
			return err
		case d.Type().IsRegular():
			return t.File(below, at)
		}
		return nil // sockets and devices: nothing that a guest starts with
	})
}

// Pack writes the tree as an initramfs, in the order of the paths.
func (t Tree) Pack(w io.Writer) error {
	whole := maps.Clone(t)
	for name := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, there := whole[dir]; !there {
				whole.Directory(dir, 0o755)
			}
		}
	}
	a := archive{w: w}
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		f := whole[name]
		data := []byte(f.text)
		if f.host != "" {
			var err error
			if data, err = os.ReadFile(f.host); err != nil {
				return fmt.Errorf("pack %s: %v", name, err)
			}
		}
		a.entry(name, f.mode, data)
	}
	return a.end()
}
