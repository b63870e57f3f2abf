package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseWhole(t *testing.T) {
	p, err := Parse([]byte(`{
	"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
	"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"],
	"flags": ["SECCOMP_FILTER_FLAG_LOG"],
	"syscalls": [
		{"names": ["socket", "socketpair"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
		 "args": [{"index": 2, "value": 18446744073709551615, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]},
		{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null}
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.DefaultAction != specs.ActErrno || *p.DefaultErrnoRet != 38 || len(p.Architectures) != 2 || len(p.Flags) != 1 {
		t.Errorf("head is %+v", p)
	}
	if len(p.Rules) != 2 || p.Rules[1].ErrnoRet != nil || p.Rules[1].Args != nil {
		t.Fatalf("system calls are %+v", p.Rules)
	}
	s := p.Rules[0]
	want := specs.LinuxSeccompArg{Index: 2, Value: 1<<64 - 1, ValueTwo: 3, Op: specs.OpMaskedEqual}
	if len(s.Names) != 2 || s.Names[1] != "socketpair" || *s.ErrnoRet != 97 || len(s.Args) != 1 || s.Args[0] != want {
		t.Errorf("first rule is %+v", s)
	}
}

func TestParseMistakes(t *testing.T) {
	const head = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\n"
	tests := []struct{ text, want string }{
		{``, `1:1: the text ends here`},
		{`{"defaultAction":"SCMP_ACT_ALLOW"`, `1:34: the text ends here`},
		{`[]`, `1:1: want an object, not a list`},
		{`{}`, `1:1: defaultAction: missing`},
		{`{"defaultAction":"SCMP_ACT_ALLOW"} x`, `1:36: text after the end`},
		{`{"defaultAction":"SCMP_ACT_ALLOW"},`, `1:36: text after the end`},
		{`{"defaultAction":"ALLOW"}`, `1:18: defaultAction: unknown action "ALLOW" (SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL, ` +
			`SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_LOG, SCMP_ACT_TRACE, SCMP_ACT_TRAP)`},
		{`{"defaultAction":"SCMP_ACT_NOTIFY"}`, `1:18: defaultAction: SCMP_ACT_NOTIFY is not supported: no listener is made, and without one ` +
			`the kernel answers each such call with ENOSYS`},
		{head + `"listenerPath":"/run/x"}`, `2:16: listenerPath: ` + unheard},
		{head + `"listenerMetadata":"x"}`, `2:20: listenerMetadata: ` + unheard},
		{head + `"defaultErrnoRet":1}`, `2:19: defaultErrnoRet: SCMP_ACT_ALLOW takes no errno`},
		{head + `"architectures":["SCMP_ARCH_X86",  "x86"]}`, `2:36: architectures[1]: unknown architecture "x86"`},
		{head + `"flags":["LOG"]}`, `2:10: flags[0]: unknown flag "LOG" (SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, ` +
			`SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)`},
		{head + `"sycalls":[]}`, `2:1: sycalls: unknown key`},
		{head + `"DefaultAction":""}`, `2:1: DefaultAction: unknown key`},
		{head + `"defaultAction":"SCMP_ACT_LOG"}`, `2:1: defaultAction: given twice`},
		{head + `"syscalls":{}}`, `2:12: syscalls: want a list, not an object`},
		{head + `"syscalls":[{"names":[],"action":"SCMP_ACT_LOG"}]}`, `2:22: syscalls[0].names: missing`},
		{head + `"syscalls":[{"action":"SCMP_ACT_LOG"}]}`, `2:13: syscalls[0].names: missing`},
		{head + `"syscalls":[{"names":["read"]}]}`, `2:13: syscalls[0].action: missing`},
		{head + `"syscalls":[{"names":["read"],"action":5}]}`, `2:40: syscalls[0].action: want a string, not 5`},
		{head + `"syscalls":[{"names":["read"],"include":{}}]}`, `2:31: syscalls[0].include: unknown key`},
		{head + `"syscalls":[{"name":"read","names":["write"]}]}`, `2:36: syscalls[0].names: beside name: want one of the two`},
		{head + `"syscalls":[{"names":["write"],"name":"read"}]}`, `2:39: syscalls[0].name: beside names: want one of the two`},
		{head + withKey(`"includes":{"arch":[]}`), `2:67: syscalls[0].includes.arch: unknown key`},
		{head + withKey(`"includes":{"arches":["x86_64"]}`), `2:77: syscalls[0].includes.arches[0]: unknown architecture "x86_64" (x86, amd64, ` +
			`x32, arm, arm64, loongarch64, mips64, mips64n32, mipsel64, mips3l64n32, mipsel, ppc, ppc64, ppc64le, riscv64, s390, s390x)`},
		{head + withKey(`"excludes":{"caps":["SYS_ADMIN"]}`), `2:75: syscalls[0].excludes.caps[0]: want a capability like CAP_SYS_ADMIN, not "SYS_ADMIN"`},
		{head + withKey(`"excludes":{"minKernel":"4"}`), `2:79: syscalls[0].excludes.minKernel: want a kernel's version like 4.8, not "4"`},
		{head + withKey(`"excludes":{"minKernel":"99999999999.1"}`), `2:79: syscalls[0].excludes.minKernel: want a kernel's version like 4.8, not "99999999999.1"`},
		{head + `"archMap":[{"architecture":"amd64"}]}`, `2:28: archMap[0].architecture: unknown architecture "amd64"`},
		{head + `"archMap":[{"subArchitectures":["SCMP_ARCH_X87"],"architecture":"SCMP_ARCH_X86"}]}`,
			`2:33: archMap[0].subArchitectures[0]: unknown architecture "SCMP_ARCH_X87"`},
		{head + `"architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}`, `2:45: archMap: beside architectures: want one of the two`},
		{head + "\"syscalls\":[" + read("LOG") + ",\n" + read("TRAP") + "]}", `3:1: syscalls[1]: read is SCMP_ACT_TRAP here and SCMP_ACT_LOG in 2:13: syscalls[0]`},
		{head + "\"syscalls\":[" + read(`ERRNO","errnoRet":1,"args":[{"index":1,"op":"SCMP_CMP_GT","value":7}],"comment":"`) + ",\n" +
			read(`ERRNO","errnoRet":2,"args":[{"index":1,"op":"SCMP_CMP_GT","value":7}],"comment":"`) + "]}",
			`3:1: syscalls[1]: read is SCMP_ACT_ERRNO here and SCMP_ACT_ERRNO in 2:13: syscalls[0]`},
		{head + `"syscalls":[{"names":["read", "reed"],"action":"SCMP_ACT_LOG"}]}`, `2:31: syscalls[0].names[1]: unknown system call "reed"`},
		{head + withKey(`"errnoRet":1`), `2:66: syscalls[0].errnoRet: SCMP_ACT_LOG takes no errno`},
		{head + withKey(`"args":[{"op":"EQ"}]`), `2:69: syscalls[0].args[0].op: unknown operator "EQ" (SCMP_CMP_EQ, SCMP_CMP_GE, ` +
			`SCMP_CMP_GT, SCMP_CMP_LE, SCMP_CMP_LT, SCMP_CMP_MASKED_EQ, SCMP_CMP_NE)`},
		{head + withKey(`"args":[{"index":6,"op":"SCMP_CMP_EQ"}]`), `2:72: syscalls[0].args[0].index: 6 is not one of 0 to 5`},
		{head + withKey(`"args":[{"value":-1,"op":"SCMP_CMP_EQ"}]`), `2:72: syscalls[0].args[0].value: want a whole number from 0 to 2^64-1, not -1`},
		{head + withKey(`"args":[{"value":1.0,"op":"SCMP_CMP_EQ"}]`), `2:72: syscalls[0].args[0].value: want a whole number from 0 to 2^64-1, not 1.0`},
		{head + `"flags" []}`, `2:9: flags: invalid character '[' after object key`},
	}
	for _, tt := range tests {
		if _, err := Parse([]byte(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("%s\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// read is a rule for read.
func read(action string) string { return `{"names":["read"],"action":"SCMP_ACT_` + action + `"}` }

// withKey is a list of one rule that has one more key, and the end of the text.
func withKey(key string) string {
	return `"syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG",` + key + `}]}`
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(file, []byte("{\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || err.Error() != file+":1:1: defaultAction: missing" {
		t.Errorf("error is %v", err)
	}
	if _, err := Load(file + "x"); err == nil || !strings.HasPrefix(err.Error(), "read seccomp profile: open ") {
		t.Errorf("error is %v", err)
	}
}
