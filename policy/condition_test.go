package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestResolve(t *testing.T) {
	host := Host{X86_64, Kernel{6, 1}, []string{"CAP_SYS_ADMIN", "CAP_CHOWN"}}
	for _, tt := range []struct {
		conditions string
		holds      bool
	}{
		{``, true},
		{`"includes":{}, "excludes":{}`, true},
		{`"includes":{"arches":["arm64","amd64"]}`, true},
		{`"includes":{"arches":["arm64","x32"]}`, false},
		{`"excludes":{"arches":["amd64"]}`, false},
		{`"excludes":{"arches":["x86"]}`, true},
		{`"includes":{"caps":["CAP_CHOWN"]}`, true},
		{`"includes":{"caps":["CAP_CHOWN","CAP_SYS_PTRACE"]}`, false},
		{`"excludes":{"caps":["CAP_SYS_PTRACE","CAP_SYS_ADMIN"]}`, false},
		{`"excludes":{"caps":["CAP_SYS_PTRACE"]}`, true},
		{`"includes":{"minKernel":"4.8"}`, true},
		{`"includes":{"minKernel":"6.1"}`, true},
		{`"includes":{"minKernel":"6.2"}`, false},
		{`"includes":{"minKernel":"7.0"}`, false},
		{`"excludes":{"minKernel":"4.8"}`, false},
		{`"excludes":{"minKernel":"6.10"}`, true},
		{`"includes":{"caps":["CAP_CHOWN"],"minKernel":"6.2"}`, false},
		{`"includes":{"caps":["CAP_CHOWN"]},"excludes":{"arches":["amd64"]}`, false},
	} {
		text := `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_TRAP",` + tt.conditions + `}]}`
		p, err := Parse([]byte(strings.Replace(text, ",}", "}", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Resolve(host); len(r.Rules) == 1 != tt.holds {
			t.Errorf("%s: the rule holds: %v, want %v", tt.conditions, len(r.Rules) == 1, tt.holds)
		}
	}
}

// TestResolveDocker resolves Docker's own file.
func TestResolveDocker(t *testing.T) {
	p := embedded(defaultProfile)
	for _, tt := range []struct {
		host Host
		call string
		want uint32
	}{
		{Host{X86_64, Kernel{6, 1}, nil}, "ptrace", allow},
		{Host{X86_64, Kernel{4, 7}, nil}, "ptrace", eperm},
		{Host{X86_64, Kernel{4, 7}, []string{"CAP_SYS_PTRACE"}}, "ptrace", allow},
		{Host{X86_64, Kernel{6, 1}, nil}, "clone3", enosys},
		{Host{X86_64, Kernel{6, 1}, []string{"CAP_SYS_ADMIN"}}, "clone3", allow},
		{Host{X86_64, Kernel{6, 1}, nil}, "modify_ldt", allow},
		{Host{AArch64, Kernel{6, 1}, nil}, "sync_file_range2", eperm}, // of 32-bit ARM alone
		{Host{X86_64, Kernel{6, 1}, nil}, "chroot", eperm},
		{Host{AArch64, Kernel{6, 1}, []string{"CAP_SYS_CHROOT"}}, "chroot", allow},
	} {
		prog, err := Compile(p, tt.host, Only)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := SyscallNumber(tt.host.Arch, tt.call); !ok {
			continue
		}
		if got := run(t, machine(t, prog), callOf(t, tt.host.Arch, tt.call)); got != tt.want {
			t.Errorf("%v: %s answers %#x, want %#x", tt.host, tt.call, got, tt.want)
		}
	}
	for native, others := range kernels {
		r := p.Resolve(Host{Arch: native})
		for _, a := range append([]Arch{native}, others...) {
			if !slices.Contains(r.OCI().Architectures, specs.Arch(a.Name())) {
				t.Errorf("%v: %v is not among %v", native, a, r.Architectures)
			}
		}
	}
}

// TestArmsOwnCalls looks at the system calls that 32-bit ARM numbers far away from all others.
func TestArmsOwnCalls(t *testing.T) {
	p := embedded(defaultProfile)
	prog, err := Compile(p, Host{Arch: AArch64, Kernel: Kernel{6, 1}}, Only)
	if err != nil {
		t.Fatal(err)
	}
	vm := machine(t, prog)
	for call, want := range map[string]uint32{"set_tls": allow, "cacheflush": allow, "usr26": eperm, "read": allow, "mount": eperm} {
		if got := run(t, vm, callOf(t, ARM, call)); got != want {
			t.Errorf("%s answers %#x, want %#x", call, got, want)
		}
	}
	for _, nr := range []uint32{472, 0x0f0000, 0x0f0007, nobody} {
		if got := run(t, vm, call{audit: ARM.Audit(), nr: nr}); got != enosys {
			t.Errorf("%#x answers %#x, want %#x", nr, got, uint32(enosys))
		}
	}
}

// TestConditionalContradiction has two rules that no host has both of, and two that some host has.
func TestConditionalContradiction(t *testing.T) {
	rule := func(action, conditions string) string {
		return `{"names":["read"],"action":"SCMP_ACT_` + action + `","includes":{` + conditions + `}}`
	}
	parse := func(a, b string) *Profile {
		p, err := Parse([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[` + a + ",\n" + b + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	apart := parse(rule("TRAP", `"arches":["amd64"]`), rule("LOG", `"arches":["arm64"]`))
	if _, err := Compile(apart, Host{Arch: X86_64}, Only); err != nil {
		t.Error(err)
	}
	both := parse(rule("TRAP", `"arches":["amd64"]`), rule("LOG", `"minKernel":"5.0"`))
	if _, err := Compile(both, Host{Arch: X86_64, Kernel: Kernel{4, 9}}, Only); err != nil {
		t.Error(err)
	}
	_, err := Compile(both, Host{Arch: X86_64, Kernel: Kernel{5, 0}}, Only)
	if want := "compile seccomp: syscalls[1]: read is SCMP_ACT_LOG here and SCMP_ACT_TRAP in 1:47: syscalls[0]"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestKernelVersions(t *testing.T) {
	for release, want := range map[string]Kernel{
		"6.18.44-fc-v669": {6, 18}, "6.1.0-13-amd64": {6, 1}, "7.0-rc1": {7, 0}, "5.15.0+": {5, 15}, "6.6": {6, 6},
	} {
		if got, err := parseRelease(release); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", release, got, err, want)
		}
	}
	chown, err := ParseCapability("chown")
	if err != nil {
		t.Fatal(err)
	}
	if h, err := ThisHost(chown); err != nil || h.Arch != Native() || h.Kernel.less(Kernel{6, 1}) || h.Caps[0] != "CAP_CHOWN" {
		t.Errorf("this host is %+v, %v", h, err)
	}
}
