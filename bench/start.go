package main

import (
	"errors"
	"runtime"
)

// benchStart measures what a program's own start takes, which is nobody's who runs it: a static C program to its main,
// against one without a C library to its first line. Both are made under nothing at all.
func benchStart(b *bench) (rows []row, err error) {
	s, err := b.openNursery()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	born := s.plain()
	libc := born
	if libc.Path, err = b.compile("main"); err != nil {
		return nil, err
	}
	bare, err := s.contender("bare", born)
	if err != nil {
		return nil, err
	}
	whole, err := s.contender("libc", libc)
	if err != nil {
		return nil, err
	}
	contenders := []contender{whole, bare}
	if runtime.GOARCH == "amd64" { // no other has the instruction
		program, err := b.compile("cpuid")
		if err != nil {
			return nil, err
		}
		f, err := startFloor(nil, program, libc.Path)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.close()) }()
		contenders = append(contenders, contender{"cpuid", func() ([]float64, error) { return f.block(spawnsPerBlock) }})
	}
	r, err := interleave(turns, contenders...)
	if err != nil {
		return nil, err
	}
	rows = r.rows("start.libc", "ns", "libc", "bare")[:1]
	if len(contenders) > 2 {
		rows = append(rows, r.rows("start.cpuid", "ns", "cpuid", "libc")[0])
	}
	return rows, nil
}
