package policy

import (
	"slices"
	"testing"
)

// TestBuiltins compiles the built-in profiles for every stage and kernel, and asks what matters of them.
func TestBuiltins_R096_R099(t *testing.T) {
	everyone := []Stage{Only, First, Ready}
	for _, tt := range []struct {
		profile string
		stages  []Stage
		call    string
		args    []uint64
		want    uint32
	}{
		{Default, everyone, "read", nil, allow},
		{Default, everyone, "execve", nil, allow},
		{Default, everyone, "mount", nil, eperm},
		{Default, everyone, "clone", []uint64{0x1000_0011}, eperm}, // CLONE_NEWUSER
		{Default, everyone, "clone3", nil, enosys},
		{Default, everyone, "socket", []uint64{2}, allow},  // AF_INET
		{Default, everyone, "socket", []uint64{38}, eperm}, // AF_ALG
		{Default, everyone, "personality", []uint64{0xffff_ffff}, allow},
		{Default, everyone, "personality", []uint64{0x004_0000}, eperm}, // ADDR_NO_RANDOMIZE
		{Handler, everyone, "epoll_pwait", nil, allow},
		{Handler, everyone, "clone", []uint64{0x3d0f00}, allow},    // a thread of glibc
		{Handler, everyone, "clone", []uint64{0x50f00}, allow},     // one of Go
		{Handler, everyone, "clone", []uint64{0x120_0011}, eperm},  // fork
		{Handler, everyone, "clone", []uint64{0x1001_0f00}, eperm}, // a thread with CLONE_NEWUSER
		{Handler, everyone, "clone3", nil, enosys},
		{Handler, everyone, "socket", []uint64{2}, eperm},
		{Handler, everyone, "connect", nil, eperm},
		{Handler, everyone, "kill", nil, eperm},
		{Handler, everyone, "io_uring_setup", nil, eperm},
		{Handler, everyone, "ioctl", []uint64{0, 0x5412}, eperm}, // TIOCSTI
		{Handler, everyone, "openat", []uint64{0, 0, 0x241}, eperm},
		{Handler, []Stage{Only, First}, "openat", []uint64{0, 0, 0x80000}, allow},
		{Handler, []Stage{Ready}, "openat", []uint64{0, 0, 0x80000}, eperm},
		{Handler, []Stage{Only, First}, "execve", nil, allow},
		{Handler, []Stage{Ready}, "execve", nil, eperm},
		{Handler, []Stage{Only, First}, "mmap", []uint64{0, 0, 5}, allow}, // PROT_READ|PROT_EXEC
		{Handler, []Stage{Ready}, "mmap", []uint64{0, 0, 5}, eperm},
		{Handler, []Stage{Ready}, "mmap", []uint64{0, 0, 3}, allow},
		{Handler, []Stage{Ready}, "prlimit64", []uint64{7, 7, 0}, allow},
		{Handler, []Stage{Ready}, "prlimit64", []uint64{0, 7, 0x1000}, eperm},
	} {
		for _, stage := range tt.stages {
			for _, native := range []Arch{X86_64, AArch64} {
				vm := machine(t, builtin(t, tt.profile, stage, native))
				if got := run(t, vm, callOf(t, native, tt.call, tt.args...)); got != tt.want {
					t.Errorf("%s, stage %d, %v: %s%#x answers %#x, want %#x", tt.profile, stage, native, tt.call, tt.args, got, tt.want)
				}
			}
		}
	}
	if _, err := Builtin("docker", Only); err == nil || err.Error() != `no seccomp profile "docker" (default, handler)` {
		t.Errorf("error is %v", err)
	}
}

func builtin(t *testing.T, name string, s Stage, native Arch) *Program {
	t.Helper()
	p, err := Builtin(name, s)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := Compile(p, Host{Arch: native, Kernel: Kernel{6, 18}}, s)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// TestShielded looks at the calls that are denied on top of the built-in profiles, with every capability that could
// bring them back.
func TestShielded_R099_R171(t *testing.T) {
	h := Host{Arch: X86_64, Kernel: Kernel{6, 18}, Caps: []string{"CAP_SYS_PTRACE", "CAP_SYS_ADMIN"}}
	for _, name := range []string{Default, Handler} {
		for _, stage := range []Stage{Only, First, Ready} {
			p, err := Builtin(name, stage, X86, X32)
			if err != nil {
				t.Fatal(err)
			}
			prog, err := Compile(p, h, stage)
			if err != nil {
				t.Fatal(err)
			}
			vm := machine(t, prog)
			for _, s := range Shielded {
				for _, a := range []Arch{X86_64, X86, X32} {
					if got := run(t, vm, callOf(t, a, s.Call)); got != eperm {
						t.Errorf("%s, stage %d: %s of %v answers %#x, want %#x", name, stage, s.Call, a, got, eperm)
					}
				}
			}
		}
	}
}

// TestBuiltinIsNative holds that programs of other architectures are not let in unasked.
func TestBuiltinIsNative(t *testing.T) {
	for _, name := range []string{Default, Handler} {
		vm := machine(t, builtin(t, name, Only, X86_64))
		for _, a := range []Arch{X86, X32} {
			if got := run(t, vm, callOf(t, a, "read")); got != kill {
				t.Errorf("%s: read of %v answers %#x, want %#x", name, a, got, uint32(kill))
			}
		}
	}
}

// TestHandlerIsPartOfStart holds that what a handler may do from readiness on it may do before, too.
func TestHandlerIsPartOfStart(t *testing.T) {
	ready, err1 := Builtin(Handler, Ready)
	first, err2 := Builtin(Handler, First)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, r := range ready.Rules {
		if r.Comment == "" {
			t.Errorf("no reason for %v", r.Names)
		}
		if !slices.ContainsFunc(first.Rules, func(f Rule) bool { return slices.Equal(f.Names, r.Names) && slices.Equal(f.Args, r.Args) }) {
			t.Errorf("%v is not allowed before readiness", r.Names)
		}
	}
	if len(first.Rules) <= len(ready.Rules) {
		t.Errorf("%d rules, and before readiness %d", len(ready.Rules), len(first.Rules))
	}
}
