package policy

import (
	"fmt"
	"slices"
	"testing"
)

func TestSummary(t *testing.T) {
	p, err := Parse([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X32","SCMP_ARCH_ARM"],"syscalls":[
		{"names":["read","execve","exit_group"],"action":"SCMP_ACT_ALLOW"},
		{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":3,"op":"SCMP_CMP_LT"},{"index":1,"value":1,"op":"SCMP_CMP_NE"}]},
		{"names":["socket"],"action":"SCMP_ACT_KILL_PROCESS","args":[{"index":0,"value":38,"op":"SCMP_CMP_GE"}]},
		{"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":16,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]},
		{"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38}, {"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":4000},
		{"names":["ptrace"],"action":"SCMP_ACT_KILL"}, {"names":["bpf"],"action":"SCMP_ACT_TRAP"}, {"names":["kcmp"],"action":"SCMP_ACT_TRACE"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	h := Host{Arch: X86_64}
	s, err := Summarize(p, h, Only)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Otherwise, ", ", s.Newer, ", ", s.Foreign, s.Architectures); got != "errno EPERM, errno ENOSYS, kill process [SCMP_ARCH_X86_64 SCMP_ARCH_X32]" {
		t.Errorf("others are %s", got)
	}
	for name, want := range map[string]string{
		"read":   "[{ allow}]",
		"write":  "[{ errno EPERM}]",
		"socket": "[{arg0 < 0x3 && arg1 != 0x1 allow} {arg0 >= 0x26 kill process} { errno EPERM}]",
		"clone":  "[{arg0 & 0x10 == 0x0 allow} { errno EPERM}]",
		"clone3": "[{ errno ENOSYS}]",
		"mount":  "[{ errno 4000}]",
		"ptrace": "[{ kill thread}]",
		"bpf":    "[{ trap}]",
		"kcmp":   "[{ trace 1}]",
	} {
		i := slices.IndexFunc(s.Calls, func(c Call) bool { return c.Name == name })
		if got := fmt.Sprint(s.Calls[i].Cases); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if prog, _ := Compile(p, h, Only); s.Instructions != len(prog.Insns) || len(s.Calls) < 300 {
		t.Errorf("%d instructions, %d calls", s.Instructions, len(s.Calls))
	}
	p.LogOnly = true
	if s, err = Summarize(p, h, Only); err != nil || s.Otherwise.String() != "log" || s.Foreign.String() != "log" || !s.Newer.Passes() {
		t.Errorf("log only: %v %v %v, %v", s.Otherwise, s.Foreign, s.Newer, err)
	}
}
