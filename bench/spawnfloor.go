package main

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// vfork is the C floor with the same program, filter, leaf and identity.
func (b *bench) vfork(s *nursery) (*floor, error) {
	program, err := b.compile("vfork")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "filter")
	out, err := os.Create(file)
	if err == nil {
		err = errors.Join(binary.Write(out, binary.NativeEndian, s.filter.Insns), out.Close())
	}
	if err != nil {
		return nil, err
	}
	uid, group := "-1", "-1"
	extra := []*os.File{s.null}
	inherit := func(fd int) (string, error) {
		fd, err := sys.Dup(fd, 0)
		extra = append(extra, os.NewFile(uintptr(fd), "leaf"))
		return strconv.Itoa(2 + len(extra)), err
	}
	var tasks []string
	if s.leaf != nil {
		uid = strconv.Itoa(nobody)
		if s.leaf.Into() >= 0 {
			if group, err = inherit(s.leaf.Into()); err != nil {
				return nil, err
			}
		}
		for _, fd := range s.leaf.Join() {
			n, err := inherit(fd)
			if err != nil {
				return nil, err
			}
			tasks = append(tasks, n)
		}
	}
	f, err := startFloor(extra, program, append([]string{s.born, uid, file, group}, tasks...)...)
	for _, file := range extra[1:] {
		file.Close()
	}
	return f, err
}
