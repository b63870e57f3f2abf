package policy

import (
	"encoding/json"
	"slices"
	"testing"
)

// fuzzedHosts are kernels as old and as new as they come, without and with capabilities: what the conditions of profiles ask.
func fuzzedHosts() (hosts []Host) {
	for _, native := range []Arch{X86_64, AArch64} {
		for _, kernel := range []Kernel{{3, 10}, {6, 1}, {7, 2}} {
			for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF"}} {
				hosts = append(hosts, Host{native, kernel, caps})
			}
		}
	}
	return hosts
}

// FuzzParse has every profile that is taken made into a program that a kernel would take, for a host and a stage; and what is
// shown of it, read again, makes the same one.
func FuzzParse(f *testing.F) {
	hosts, stages := fuzzedHosts(), []Stage{Only, First, Ready}
	for _, profile := range [][]byte{
		defaultProfile, handlerProfile, handlerStart,
		[]byte(deny(`{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"args":[{"index":1,"value":2,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}`)),
		[]byte(deny(`{"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},` +
			`{"names":["bpf"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_BPF"]}},` +
			`{"names":["clone"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"],"arches":["s390","s390x"]}}`)),
		[]byte(`{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]}],` +
			`"flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"],"syscalls":[{"names":["execve","exit_group","seccomp"],"action":"SCMP_ACT_ALLOW"}]}`),
		[]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":`),
		[]byte(`{"defaultAction":null,"flags":[{}]}`),
	} {
		for host := range hosts {
			f.Add(profile, uint8(host), uint8(host))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, host, stage uint8) {
		p, err := Parse(data)
		if (p == nil) != (err != nil) {
			t.Fatalf("profile %v with error %v", p, err)
		}
		if err == nil {
			showAgain(t, p, hosts[int(host)%len(hosts)], stages[int(stage)%len(stages)])
		}
	})
}

// showAgain compiles a profile, and what is shown of it.
func showAgain(t *testing.T, p *Profile, h Host, s Stage) {
	prog, err := Compile(p, h, s)
	if err != nil {
		return
	}
	validate(t, prog)
	shown, err := json.Marshal(p.Resolve(h).OCI())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(shown)
	if err != nil {
		t.Fatalf("%s: %v", shown, err)
	}
	same, err := Compile(again, h, s)
	if err != nil || !slices.Equal(same.Insns, prog.Insns) || same.Flags != prog.Flags {
		t.Fatalf("%s for %v makes another program: %v", shown, h, err)
	}
}
