package supervisor

import (
	"errors"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/audit"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/policy"
)

// Observer is told, on the loop, of the system calls that are recorded and go on: those that a policy which denies nothing
// (policy.mode = "log") would deny, and those that one denies with an errno and the flag to record it.
type Observer struct {
	Call func(app string, arch policy.Arch, name string) // once for each
	Lost func()                                          // records were lost: there may have been more
}

// witness is whose records are in an audit session, and what was seen of them.
type witness struct {
	denials *denials
	app     string
	seen    map[string]bool
}

// see tells of a call, once. There are not more than there are system calls.
func (w *witness) see(r *audit.Record) {
	arch, ok := policy.ArchOf(r.Arch, r.Syscall)
	if !ok {
		return
	}
	name := policy.SyscallName(arch, r.Syscall)
	key := arch.String() + " " + name
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	if o := w.denials.observer; o != nil {
		o.Call(w.app, arch, name)
		return
	}
	w.denials.log.Warn("a system call outside of the policy", "app", w.app, "syscall", name, "arch", arch, "exe", r.Exe)
}

// lost tells that there may have been more.
func (d *denials) lost(err error) {
	if d.observer != nil {
		d.observer.Lost()
	}
	d.log.Warn("seccomp records are lost: a denied system call may stay without a name", "err", err)
}

// Records come a little after what they tell of, from a thread of the kernel's.
const (
	settleStep = 20 * time.Millisecond
	settleMost = 50 // steps
)

// settle waits for the last records, when nothing runs any more: until none came for five steps.
func (d *denials) settle() {
	quiet := 0
	for step := 0; step < settleMost && quiet < 5; step++ {
		before := d.count
		d.read()
		if quiet++; d.count != before {
			quiet = 0
		}
		time.Sleep(settleStep)
	}
}

// recorded reports whether a profile has calls recorded that go on.
func recorded(p *policy.Profile) bool {
	return p != nil && (p.LogOnly || ends(p, specs.ActLog) || hasFlag(p, specs.LinuxSeccompFlagLog))
}

// recordBytes is the room for records of a policy that has them made: about ten thousand.
const recordBytes = 8 << 20

// witness gives the app's lane, and so all processes of the app, an audit session: by it records tell whose they are.
func (s *Supervisor) witness(a *app, lane *spawn.Lane, uid uint32) error {
	d := s.denials
	if d.reader == nil {
		return errors.New(d.why)
	}
	type begun struct {
		session uint32
		err     error
	}
	answer := make(chan begun, 1)
	lane.KeepThread() // a session is a thread's
	lane.Submit(func(*spawn.Maker) {
		session, err := audit.BeginSession(uid)
		answer <- begun{session, err}
	})
	b := <-answer
	if b.err != nil {
		return b.err
	}
	d.reader.Enlarge(recordBytes) //nolint:errcheck // without it more may be lost, which is told
	a.session, a.witnessed = b.session, true
	return nil
}
