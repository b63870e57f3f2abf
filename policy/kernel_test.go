package policy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// confined names the profile under which the test binary makes system calls instead of running tests: a filter stays
// for good.
const confined = "AEM_TEST_PROFILE"

func TestMain(m *testing.M) {
	if profile := os.Getenv(confined); profile != "" {
		os.Exit(confine(profile))
	}
	aemtest.NoLeaks(m)
}

// confine puts the filter on this process and tells how some calls end.
func confine(profile string) int {
	runtime.LockOSThread()
	p, err := Parse([]byte(profile))
	if err != nil {
		return report(err)
	}
	prog, err := Compile(p, Host{Arch: Native()}, Only)
	if err != nil {
		return report(err)
	}
	if err := sys.SetNoNewPrivs(); err != nil {
		return report(err)
	}
	if err := sys.SeccompFilter(prog.Insns, prog.Flags); err != nil {
		return report(err)
	}
	for _, c := range confinedCalls {
		_, _, errno := syscall.RawSyscall(c.nr, c.args[0], c.args[1], c.args[2])
		fmt.Printf("%s=%d ", c.name, int(errno))
	}
	return 0
}

func report(err error) int {
	fmt.Println(err)
	return 1
}

var confinedCalls = []struct {
	name string
	nr   uintptr
	args [3]uintptr
}{
	{"getpid", syscall.SYS_GETPID, [3]uintptr{}},
	{"getpriority", syscall.SYS_GETPRIORITY, [3]uintptr{0, 0}},
	{"getpriority1", syscall.SYS_GETPRIORITY, [3]uintptr{1, 0}},
	{"umask", syscall.SYS_UMASK, [3]uintptr{0o22}},
	{"new", 600, [3]uintptr{}},
}

func TestKernelObeys(t *testing.T) {
	rule := func(name, rest string) string { return `{"names":["` + name + `"],"action":"SCMP_ACT_` + rest + `}` }
	flags := func(list string) string {
		return `{"defaultAction":"SCMP_ACT_ALLOW","flags":[` + list + `],"syscalls":[` + rule("umask", `ERRNO"`) + `]}`
	}
	tests := []struct {
		name, profile string
		output        string
		signal        syscall.Signal
	}{
		{"nothing denied", deny(""), "getpid=0 getpriority=0 getpriority1=0 umask=0 new=38 ", 0},
		{"errno", deny(rule("getpid", `ERRNO"`)), "getpid=1 getpriority=0 getpriority1=0 umask=0 new=38 ", 0},
		{"custom errno", deny(rule("umask", `ERRNO","errnoRet":25`)), "getpid=0 getpriority=0 getpriority1=0 umask=25 new=38 ", 0},
		{"by argument", deny(rule("getpriority", `ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]`)),
			"getpid=0 getpriority=0 getpriority1=1 umask=0 new=38 ", 0},
		{"kill", deny(rule("umask", `KILL_PROCESS"`)), "getpid=0 getpriority=0 getpriority1=0 ", syscall.SIGSYS},
		{"kill at once", deny(rule("getpid", `KILL_PROCESS"`)), "", syscall.SIGSYS},
		{"all flags", flags(`"SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_SPEC_ALLOW",
			"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"`), "getpid=0 getpriority=0 getpriority1=0 umask=1 new=38 ", 0},
		{"a real profile", string(defaultProfile), "getpid=0 getpriority=0 getpriority1=0 umask=0 new=38 ", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), confined+"="+tt.profile, "GORACE=atexit_sleep_ms=0") // or the race detector waits a second
			var output bytes.Buffer
			cmd.Stdout, cmd.Stderr = &output, &output
			err := cmd.Run()
			var exit *exec.ExitError
			switch {
			case tt.signal == 0 && err != nil:
				t.Fatalf("the child ends with %v: %s", err, &output)
			case tt.signal != 0 && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != tt.signal):
				t.Fatalf("the child ends with %v, want %v: %s", err, tt.signal, &output)
			}
			if !strings.HasPrefix(output.String(), tt.output) || tt.signal == 0 && output.String() != tt.output {
				t.Errorf("the calls end with %q, want %q", &output, tt.output)
			}
		})
	}
}

// TestKernelRefusesKillable shows why WAIT_KILLABLE_RECV is not passed on.
func TestKernelRefusesKillable(t *testing.T) {
	prog := compile(t, deny(""), Native())
	const waitKillable = sys.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	if err := sys.SeccompFilter(prog.Insns, waitKillable); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("installing it ends with %v, want EINVAL", err)
	}
}

func BenchmarkCompile(b *testing.B) {
	p, err := Builtin(Default, Only)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		prog, err := Compile(p, Host{Arch: X86_64}, Only)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(prog.Insns)), "insns")
	}
}
