package policy

import (
	"slices"
	"strconv"
	"strings"
)

//go:generate go run ./internal/gensyscalls syscalls_table.go

// numbers is a value per architecture; absent where there is none.
type numbers [archs]int32

const absent = -1

// syscallRow is a system call. Calls of architectures that are not listed here have no number at all: profiles name
// them, and they are not mistakes.
type syscallRow struct {
	name string
	nr   numbers // without the architecture's base
}

// number returns the number as the kernel sees it, with the x32 bit.
func (r *syscallRow) number(a Arch) (uint32, bool) {
	if r.nr[a] == absent {
		return 0, false
	}
	return uint32(r.nr[a]) + archInfo[a].base, true
}

func findSyscall(name string) (*syscallRow, bool) {
	i, ok := slices.BinarySearchFunc(syscallTable[:], name, func(r syscallRow, name string) int {
		return strings.Compare(r.name, name)
	})
	if !ok {
		return nil, false
	}
	return &syscallTable[i], true
}

// SyscallNumber returns the number of a system call, for x32 with its bit.
func SyscallNumber(a Arch, name string) (int, bool) {
	row, ok := findSyscall(name)
	if !ok {
		return 0, false
	}
	nr, ok := row.number(a)
	return int(nr), ok
}

// SyscallName returns the name of a system call, for x32 by the number with its bit; "syscall 999" if it has none.
func SyscallName(a Arch, nr int) string {
	for i := range syscallTable {
		if n, ok := syscallTable[i].number(a); ok && int(n) == nr {
			return syscallTable[i].name
		}
	}
	return "syscall " + strconv.Itoa(nr)
}
