package source

import "unsafe"

func addressOf(p *uint64) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

//go:noinline
func store(p *uint64, v uint64) { *p = v }

//go:noinline
func load(p *uint64) uint64 { return *p }
