package policy

import (
	"syscall"
	"testing"
)

func TestSyscallNumbers(t *testing.T) {
	tests := []struct {
		arch Arch
		name string
		nr   int // -1: none
	}{
		{X86_64, "read", 0}, {X86_64, "execve", 59}, {X86_64, "clone3", 435}, {X86_64, "socketcall", -1},
		{X86, "read", 3}, {X86, "socketcall", 102}, {X86, "clone3", 435},
		{X32, "read", 0x4000_0000}, {X32, "execve", 0x4000_0208}, {X32, "pwritev2", 0x4000_0223}, {X32, "vserver", -1},
		{AArch64, "read", 63}, {AArch64, "open", -1}, {AArch64, "newfstatat", 79},
		{X86_64, "no_such_call", -1}, {X86_64, "set_tls", -1},
	}
	for _, tt := range tests {
		nr, ok := SyscallNumber(tt.arch, tt.name)
		if ok != (tt.nr >= 0) || ok && nr != tt.nr {
			t.Errorf("%v: %s is %#x, %v; want %#x", tt.arch, tt.name, nr, ok, tt.nr)
		}
		if tt.nr < 0 {
			continue
		}
		if name := SyscallName(tt.arch, tt.nr); name != tt.name {
			t.Errorf("%v: %#x is %s, want %s", tt.arch, tt.nr, name, tt.name)
		}
		if a, ok := ArchOf(tt.arch.Audit(), tt.nr); !ok || a != tt.arch {
			t.Errorf("%v: number %#x is of %v", tt.arch, tt.nr, a)
		}
	}
	if name := SyscallName(X86_64, 999); name != "syscall 999" {
		t.Errorf("999 is %s", name)
	}
	if nr, _ := SyscallNumber(Native(), "getpid"); nr != syscall.SYS_GETPID {
		t.Errorf("native getpid is %d, want %d", nr, syscall.SYS_GETPID)
	}
}

func TestArchNames(t *testing.T) {
	for a := range archs {
		if got, ok := ArchByName(a.Name()); !ok || got != a || a.String() == "" {
			t.Errorf("%s is %v, want %v", a.Name(), got, a)
		}
	}
}
