package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/sys"
)

const (
	allow   = sys.SECCOMP_RET_ALLOW
	kill    = sys.SECCOMP_RET_KILL_PROCESS
	thread  = sys.SECCOMP_RET_KILL_THREAD
	trap    = sys.SECCOMP_RET_TRAP
	record  = sys.SECCOMP_RET_LOG
	eperm   = sys.SECCOMP_RET_ERRNO | 1
	enosys  = sys.SECCOMP_RET_ERRNO | 38
	notty   = sys.SECCOMP_RET_ERRNO | 25
	message = sys.SECCOMP_RET_TRACE | 7
)

// deny allows everything but what rules say.
func deny(rules string) string {
	return `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":[` + rules + `]}`
}

// permit allows nothing but what rules say and what a handler cannot do without.
func permit(action, rules string) string {
	return `{"defaultAction":"` + action + `","syscalls":[{"names":["execve","exit_group"],"action":"SCMP_ACT_ALLOW"}` + rules + `]}`
}

func compile(t testing.TB, profile string, native Arch) *Program {
	t.Helper()
	p, err := Parse([]byte(profile))
	if err != nil {
		t.Fatal(err)
	}
	prog, err := Compile(p, Host{Arch: native}, Only)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

func TestActions(t *testing.T) {
	tests := []struct {
		action, errno string
		want          uint32
	}{
		{"KILL", "", thread},
		{"KILL_THREAD", "", thread},
		{"KILL_PROCESS", "", kill},
		{"TRAP", "", trap},
		{"ERRNO", "", eperm},
		{"ERRNO", `,"errnoRet":25`, notty},
		{"ERRNO", `,"errnoRet":0`, sys.SECCOMP_RET_ERRNO},
		{"TRACE", `,"errnoRet":7`, message},
		{"LOG", "", record},
	}
	for _, tt := range tests {
		prog := compile(t, deny(`{"names":["getpid"],"action":"SCMP_ACT_`+tt.action+`"`+tt.errno+`}`), X86_64)
		vm := machine(t, prog)
		if got := run(t, vm, callOf(t, X86_64, "getpid")); got != tt.want {
			t.Errorf("%s%s: getpid answers %#x, want %#x", tt.action, tt.errno, got, tt.want)
		}
		if got := run(t, vm, callOf(t, X86_64, "getppid")); got != allow {
			t.Errorf("%s%s: getppid answers %#x, want %#x", tt.action, tt.errno, got, uint32(allow))
		}
	}
}

func TestOperators(t *testing.T) {
	const v = 0x2_0000_0005 // both words count, and neither alone decides
	around := []uint64{0, 5, v - 1, v, v + 1, 0x1_ffff_ffff, 0x2_0000_0000, 0x3_0000_0000, 0x1_0000_0009, 0xffff_ffff_ffff_ffff}
	tests := []struct {
		op   string
		hold func(a uint64) bool
	}{
		{"NE", func(a uint64) bool { return a != v }},
		{"LT", func(a uint64) bool { return a < v }},
		{"LE", func(a uint64) bool { return a <= v }},
		{"EQ", func(a uint64) bool { return a == v }},
		{"GE", func(a uint64) bool { return a >= v }},
		{"GT", func(a uint64) bool { return a > v }},
	}
	for _, tt := range tests {
		prog := compile(t, deny(fmt.Sprintf(
			`{"names":["lseek"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":%d,"op":"SCMP_CMP_%s"}]}`, uint64(v), tt.op)), X86_64)
		vm := machine(t, prog)
		for _, a := range around {
			want := uint32(allow)
			if tt.hold(a) {
				want = eperm
			}
			if got := run(t, vm, callOf(t, X86_64, "lseek", 9, a, 9)); got != want {
				t.Errorf("%s: lseek(9, %#x, 9) answers %#x, want %#x", tt.op, a, got, want)
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	arg := func(index int, op string, values ...uint64) string {
		s := fmt.Sprintf(`{"index":%d,"op":"SCMP_CMP_%s","value":%d`, index, op, values[0])
		if len(values) > 1 {
			s += fmt.Sprintf(`,"valueTwo":%d`, values[1])
		}
		return s + "}"
	}
	errno := func(names string, nr int, args ...string) string {
		return fmt.Sprintf(`{"names":["%s"],"action":"SCMP_ACT_ERRNO","errnoRet":%d,"args":[%s]}`, names, nr, strings.Join(args, ","))
	}
	clone := errno("clone", 25, arg(0, "MASKED_EQ", 0x7e02_0000, 0x1000_0001))
	both := errno("socket", 25, arg(0, "EQ", 16), arg(2, "EQ", 9))
	either := errno("socket", 25, arg(0, "EQ", 1), arg(0, "EQ", 2), arg(1, "EQ", 3))
	overlap := errno("socket", 25, arg(0, "GT", 5)) + "," + errno("socket", 1, arg(0, "GT", 3))
	last := errno("socket", 25, arg(0, "EQ", 5)) + "," + errno("socket", 1)
	wide := errno("socket", 25, arg(0, "EQ", 0x7_0000_0005))
	tests := []struct {
		name, profile string
		call          call
		want          uint32
	}{
		{"masked, equal", deny(clone), callOf(t, X86_64, "clone", 0x1000_0011), notty},
		{"masked, high word ignored", deny(clone), callOf(t, X86_64, "clone", 0x5_1000_0011), notty},
		{"masked, other", deny(clone), callOf(t, X86_64, "clone", 0x3000_0011), allow},
		{"and, both", deny(both), callOf(t, X86_64, "socket", 16, 3, 9), notty},
		{"and, first only", deny(both), callOf(t, X86_64, "socket", 16, 3, 8), allow},
		{"and, second only", deny(both), callOf(t, X86_64, "socket", 2, 3, 9), allow},
		{"repeated index, first", deny(either), callOf(t, X86_64, "socket", 1), notty},
		{"repeated index, second", deny(either), callOf(t, X86_64, "socket", 2), notty},
		{"repeated index, other index", deny(either), callOf(t, X86_64, "socket", 9, 3), notty},
		{"repeated index, none", deny(either), callOf(t, X86_64, "socket", 9), allow},
		{"overlap, both hold", deny(overlap), callOf(t, X86_64, "socket", 6), notty},
		{"overlap, second holds", deny(overlap), callOf(t, X86_64, "socket", 4), eperm},
		{"unconditional wins though last", deny(last), callOf(t, X86_64, "socket", 5), eperm},
		{"64 bits, all compared", deny(wide), callOf(t, X86_64, "socket", 5), allow},
		{"64 bits, equal", deny(wide), callOf(t, X86_64, "socket", 0x7_0000_0005), notty},
		{"x32, low word compared", deny(wide), callOf(t, X32, "socket", 0x8_0000_0005), notty},
		{"x86, low word compared", deny(wide), callOf(t, X86, "socket", 5), notty},
		{"x86, socket through socketcall", deny(errno("socket", 25)), callOf(t, X86, "socketcall", 1), notty},
		{"x86, other through socketcall", deny(errno("socket", 25)), callOf(t, X86, "socketcall", 2), allow},
		{"x86, shmat through ipc", deny(errno("shmat", 25)), callOf(t, X86, "ipc", 0x1_0015), notty},
		{"x86, socketcall has its own rule", deny(errno("socket", 25) + "," + errno("socketcall", 1)), callOf(t, X86, "socketcall", 1), eperm},
		{"x32, its own number", deny(errno("ioctl", 25)), call{audit: sys.AUDIT_ARCH_X86_64, nr: 0x4000_0202}, notty},
		{"x32, not the 64-bit number", deny(errno("ioctl", 25)), call{audit: sys.AUDIT_ARCH_X86_64, nr: 0x4000_0010}, allow},
		{"x32 not listed", permit("SCMP_ACT_ERRNO", ""), callOf(t, X32, "execve"), kill},
		{"x86 not listed", permit("SCMP_ACT_ERRNO", ""), callOf(t, X86, "execve"), kill},
		{"other architecture", deny(""), callOf(t, AArch64, "execve"), kill},
		{"skipped by a tracer", permit("SCMP_ACT_KILL", ""), call{audit: sys.AUDIT_ARCH_X86_64, nr: nobody}, enosys},
		{"too new, default errno", permit("SCMP_ACT_ERRNO", ""), call{audit: sys.AUDIT_ARCH_X86_64, nr: 600}, enosys},
		{"too new, default kill", permit("SCMP_ACT_KILL_PROCESS", ""), call{audit: sys.AUDIT_ARCH_X86_64, nr: 472}, enosys},
		{"too new, default allow", deny(""), call{audit: sys.AUDIT_ARCH_X86_64, nr: 472}, allow},
		{"too new, default log", permit("SCMP_ACT_LOG", ""), call{audit: sys.AUDIT_ARCH_X86_64, nr: 472}, record},
		{"hole between numbers", permit("SCMP_ACT_KILL_PROCESS", ""), call{audit: sys.AUDIT_ARCH_X86_64, nr: 400}, kill},
		{"same as the default is dropped", permit("SCMP_ACT_ERRNO", `,{"names":["socket"],"action":"SCMP_ACT_ERRNO"},
			{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[`+arg(0, "EQ", 1)+`]}`), callOf(t, X86_64, "socket", 1), allow},
		{"name of another architecture", deny(errno("s390_pci_mmio_read", 1)), callOf(t, X86_64, "read"), allow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vm := machine(t, compile(t, tt.profile, X86_64))
			if got := run(t, vm, tt.call); got != tt.want {
				t.Errorf("answers %#x, want %#x", got, tt.want)
			}
		})
	}
}

func TestNativeARM(t *testing.T) {
	vm := machine(t, compile(t, permit("SCMP_ACT_ERRNO", ""), AArch64))
	for name, want := range map[string]uint32{"execve": allow, "mount": eperm} {
		if got := run(t, vm, callOf(t, AArch64, name)); got != want {
			t.Errorf("%s answers %#x, want %#x", name, got, want)
		}
	}
	if got := run(t, vm, callOf(t, X86_64, "execve")); got != kill {
		t.Errorf("execve of x86_64 answers %#x, want %#x", got, uint32(kill))
	}
}

func TestFlags(t *testing.T) {
	prog := compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_TSYNC",
		"SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}`, X86_64)
	want := uint32(sys.SECCOMP_FILTER_FLAG_LOG | sys.SECCOMP_FILTER_FLAG_TSYNC | sys.SECCOMP_FILTER_FLAG_SPEC_ALLOW)
	if prog.Flags != want {
		t.Errorf("flags are %#x, want %#x", prog.Flags, want)
	}
}

func TestCompileRefuses(t *testing.T) {
	rule := func(name, action string) []specs.LinuxSyscall {
		return []specs.LinuxSyscall{{Names: []string{name}, Action: specs.LinuxSeccompAction(action)}}
	}
	var many []specs.LinuxSyscall
	for i := range uint64(2000) {
		args := []specs.LinuxSeccompArg{{Value: i << 32, Op: specs.OpEqualTo}, {Index: 1, Value: 1, Op: specs.OpEqualTo}}
		many = append(many, specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, Args: args})
	}
	tests := []struct {
		name    string
		profile specs.LinuxSeccomp
		native  Arch
		want    string
	}{
		{"execve by default", specs.LinuxSeccomp{DefaultAction: specs.ActErrno}, X86_64,
			"seccomp denies execve: the handler could never start"},
		{"execve by a rule", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: rule("execve", "SCMP_ACT_TRAP")}, X86_64,
			"seccomp denies execve: the handler could never start"},
		{"execve by a rule and by default", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"execve"},
			Action: specs.ActTrap, Args: []specs.LinuxSeccompArg{{Op: specs.OpEqualTo}}}}}, X86_64,
			"seccomp denies execve: the handler could never start"},
		{"exit_group by default", specs.LinuxSeccomp{DefaultAction: specs.ActTrace, Syscalls: rule("execve", "SCMP_ACT_ALLOW")}, X86_64,
			"seccomp denies exit_group: the handler could never end"},
		{"mistake", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: rule("reed", "SCMP_ACT_TRAP")}, X86_64,
			`read seccomp profile: syscalls[0].names[0]: unknown system call "reed"`},
		{"too long", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: many}, X86_64,
			"compile seccomp: 16073 instructions, and the kernel takes 4096"},
		{"native", specs.LinuxSeccomp{DefaultAction: specs.ActAllow}, X32,
			"compile seccomp: no kernel has x32 as its own architecture"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := FromOCI(&tt.profile)
			if err == nil {
				_, err = Compile(p, Host{Arch: tt.native}, Only)
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("error is %v, want %s", err, tt.want)
			}
		})
	}
}
