package supervisor

import (
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/audit"
	"github.com/aem-exec/aem-exec/policy"
)

// Told is what becomes of a system call that gets one of a profile's answers, on this host.
type Told struct {
	Action  string // as kill process
	Handler string // what happens to who called
	Told    string // what we tell of it
	Missing string // why we cannot
}

// actions are the answers that are not to allow, the first first that kernels prefer. word is what the kernel calls it in
// actions_logged (man 2 seccomp).
var actions = []struct {
	scmp          []specs.LinuxSeccompAction
	name, word    string
	handler, told string
	ends, flagged bool // it ends who called; it is recorded with SECCOMP_FILTER_FLAG_LOG only
}{
	{[]specs.LinuxSeccompAction{specs.ActKillProcess}, "kill process", "kill_process", "the process ends with SIGSYS", toldByFate, true, false},
	{[]specs.LinuxSeccompAction{specs.ActKill, specs.ActKillThread}, "kill thread", "kill_thread",
		"the thread ends with SIGSYS, and the process if it has no other", toldByFate, true, false},
	{[]specs.LinuxSeccompAction{specs.ActTrap}, "trap", "trap", "gets SIGSYS, which ends the process unless that takes it", toldByFate, true, true},
	{[]specs.LinuxSeccompAction{specs.ActErrno}, "errno", "errno", "the call fails", toldByLog, false, true},
	{[]specs.LinuxSeccompAction{specs.ActTrace}, "trace", "trace", "the call fails with ENOSYS: there is no tracer", toldByLog, false, true},
	{[]specs.LinuxSeccompAction{specs.ActLog}, "log", "log", "the call is made", toldByLog, false, false},
}

const (
	toldByFate = "the event fails with reason seccomp and the call's name"
	toldByLog  = "the log has the call's name, once for each app and call"
)

// ToldHere says for each action of a profile what becomes of it here.
func ToldHere(p *policy.Profile) []Told {
	logged, _ := os.ReadFile("/proc/sys/kernel/seccomp/actions_logged") // without it, all are
	reader, readable := audit.Open()
	if readable == nil {
		reader.Close() //nolint:errcheck // nothing was read
	}
	var all []Told
	for _, a := range actions {
		if p.LogOnly && a.word != "log" || !p.LogOnly && !ends(p, a.scmp...) {
			continue
		}
		t := Told{Action: a.name, Handler: a.handler, Told: a.told}
		switch {
		case readable != nil:
			t.Missing = readable.Error()
		case len(logged) > 0 && !slices.Contains(strings.Fields(string(logged)), a.word):
			t.Missing = "kernel.seccomp.actions_logged has no " + a.word
		case a.flagged && !hasFlag(p, specs.LinuxSeccompFlagLog):
			t.Missing = "the profile has no flag SECCOMP_FILTER_FLAG_LOG"
		case !a.ends:
			if err := trySession(); err != nil {
				t.Missing = err.Error()
			}
		}
		all = append(all, t)
	}
	return all
}

// trySession begins an audit session on a thread that ends with it.
func trySession() error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		_, err := audit.BeginSession(uint32(os.Getuid()))
		result <- err
	}()
	return <-result
}
