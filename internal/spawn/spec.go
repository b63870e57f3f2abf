package spawn

import (
	"fmt"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Spec is what stays the same for every process of one handler: a plain value, judged by Compile.
type Spec struct {
	Path       string    // of the executable, absolute
	Dir        string    // working directory, absolute; "" leaves ours
	Umask      int       // -1 leaves ours
	Identity   *Identity // nil leaves ours
	DropCaps   bool      // no capability in any set, but
	KeepCaps   uint64    // these: bit n is capability n
	NoNewPrivs bool
	Shield     bool     // the kernel must not end it for want of memory before it runs its program, where we may say so
	Rlimits    []Rlimit // without RLIMIT_NOFILE here, it is what we were started with
	Scheduling
	Filter *Filter // nil: none; needs NoNewPrivs

	// UserNamespace says that the lane's cell has one, in which the capabilities are held.
	UserNamespace bool
	// Ruleset is a descriptor of a Landlock ruleset, 0 for none; it needs NoNewPrivs. It stays the caller's, who keeps it
	// as long as the plan is used.
	Ruleset int
}

// Identity is who the process runs as.
type Identity struct {
	UID, GID uint32
	Groups   []uint32 // supplementary; none but these
}

// Rlimit is one resource limit, man 2 setrlimit.
type Rlimit struct {
	Resource int
	Cur, Max uint64
}

// Filter is a seccomp program. It must allow execve, which it already sees, and exit_group. Plans share it: nobody may change
// it.
type Filter struct {
	Insns []sys.SockFilter
	Flags uint32 // SECCOMP_FILTER_FLAG_*
}

// Vars is what differs from process to process.
type Vars struct {
	Args, Env []string
	FDs       []int           // the child's descriptor i is a copy of FDs[i], closed if -1; at most MaxFDs
	Cgroup    int             // directory of the v2 group to be born in; 0 or -1: none
	Join      []int           // v1 `tasks` files, open for writing, of groups to join; at most MaxJoins
	Schedules []sys.SchedAttr // how it is scheduled, one after the other: the last one stays
	ListenPID bool            // LISTEN_PID is the child's own pid (man 3 sd_listen_fds); replaces one in Env
}

// What one process can be given.
const (
	MaxFDs   = 16
	MaxJoins = 8
)

// Child is a process that has begun its program. Who owns PIDFD waits for it and closes it; only then PID may mean
// another process.
type Child struct {
	PID   int
	PIDFD int
	Inner int // its number as it sees it itself: another one in a pid namespace of its own
}

// StepError says at which step a process that never began its program failed.
type StepError struct {
	Step   string         // usually the system call: clone3, setresuid, execve
	Errno  syscall.Errno  // why it failed, or
	Signal syscall.Signal // what killed it there
}

// wants is what a step wants that is refused for want of permission.
var wants = map[string]string{
	"nice":          "CAP_SYS_NICE or a higher RLIMIT_NICE",
	"ioprio":        "CAP_SYS_NICE",
	"oom_score_adj": "CAP_SYS_RESOURCE",
	"boost":         "CAP_SYS_NICE; for realtime with cgroup v1 also cpu.rt_runtime_us of the app's cpu group, which is 0 in a new one",
	"prlimit":       "CAP_SYS_RESOURCE",
	"clone3":        "CAP_SYS_ADMIN for namespaces of its own",
	"setns":         "CAP_SYS_ADMIN and CAP_SYS_PTRACE",
	"setgroups":     "root, to run as another user or with other groups",
}

func (e *StepError) Error() string {
	if need := wants[e.Step]; need != "" && (e.Errno == syscall.EPERM || e.Errno == syscall.EACCES) {
		return fmt.Sprintf("make process: %s: %v (want %s)", e.Step, e.Errno, need)
	}
	if e.Errno != 0 {
		return fmt.Sprintf("make process: %s: %v", e.Step, e.Errno)
	}
	return fmt.Sprintf("make process: %s: killed: %v", e.Step, e.Signal)
}

// Unwrap returns the error number, for errors.Is; nil after a signal.
func (e *StepError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}
