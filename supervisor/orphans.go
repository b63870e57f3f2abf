package supervisor

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// orphans are processes whose parents, our handlers, have ended: as a subreaper the supervisor gets them. It waits for
// those that end, and kills those that live where no cgroup does it. A process counts as an orphan when it was seen
// twice: one that a lane has just made is not known at once.
type orphans struct {
	s    *Supervisor
	own  map[int]int   // the processes that agents wait for themselves; a number may be told as new before it is told as gone
	held []*spawn.Cell // whose inits get orphans instead of us; the loop's
	seen map[int]bool
}

// orphanWait is between a child's end and a look at who else is there, and between two looks.
const orphanWait = time.Second

// Born tells of a process that an agent made.
func (s *Supervisor) Born(pid int) { s.orphans.own[pid]++ }

// Reaped tells that it is gone.
func (s *Supervisor) Reaped(pid int) {
	if s.orphans.own[pid]--; s.orphans.own[pid] <= 0 {
		delete(s.orphans.own, pid)
	}
}

// run looks for orphans when a child has ended, until none is left.
func (o *orphans) run(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
		for left := true; left; {
			hear := deaf()
			select {
			case <-time.After(orphanWait):
				hear()
			case <-ctx.Done():
				hear()
				return
			}
			var held []*spawn.Cell
			o.s.ask(func() { held = slices.Clone(o.held) })
			children, strays := children(held), strays(held)
			o.s.ask(func() { left = o.look(children) || o.endStrays(strays) })
		}
	}
}

// deaf has no signal sent for a child's end, until hear is called: a thousand handlers may end in the second that is waited
// anyway, and each signal would wake a thread from its work, and that a goroutine. A child is kept for who waits for it as
// ever, which SIG_IGN would change (man 2 sigaction).
func deaf() (hear func()) {
	var before sys.Sigaction
	err := sys.SetSigaction(syscall.SIGCHLD, &sys.Sigaction{}, &before)
	return func() {
		if err == nil {
			sys.SetSigaction(syscall.SIGCHLD, &before, nil) //nolint:errcheck // the kernel took this action before
		}
	}
}

// look takes in what is ours to take in, and reports whether there may be more.
func (o *orphans) look(children []int) (left bool) {
	seen := map[int]bool{}
	for _, pid := range children {
		if o.own[pid] > 0 {
			continue
		}
		if !o.seen[pid] {
			seen[pid], left = true, true
			continue
		}
		if reaped := sys.ReapOrphan(pid); !reaped && o.killable(pid) {
			sys.Kill(pid, syscall.SIGKILL)
			seen[pid], left = true, true
		}
	}
	o.seen = seen
	return left
}

// end kills and takes in what is left when every agent is gone and the loop has ended.
func (o *orphans) end() {
	for deadline := time.Now().Add(killPatience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		left := false
		for _, pid := range children(o.held) {
			if o.own[pid] == 0 && !sys.ReapOrphan(pid) && o.killable(pid) {
				sys.Kill(pid, syscall.SIGKILL) // its own children come to us then
				left = true
			}
		}
		if !left {
			return
		}
	}
}

// killable reports whether a living orphan is to be killed: no cgroup does it, no handler wants its leftovers left,
// and it belongs to no session of an agent that still lives.
func (o *orphans) killable(pid int) bool {
	for _, p := range o.s.pools {
		if h := p.Spec(); h.Agent == executor.Process && (h.Leftover == executor.LeaveLeftover || o.s.owners[p].work.Group.Kills()) {
			return false
		}
	}
	return o.own[sys.Session(pid)] == 0
}

// forget has a cell that is to be closed looked at no more.
func (o *orphans) forget(c *spawn.Cell) {
	o.held = slices.DeleteFunc(o.held, func(other *spawn.Cell) bool { return other == c })
}

// children are our children but for the inits of cells.
func children(held []*spawn.Cell) []int {
	return slices.DeleteFunc(childrenOfOurs(), func(pid int) bool {
		return slices.ContainsFunc(held, func(c *spawn.Cell) bool { return c.PID() == pid })
	})
}

// strays are the orphans in each cell: the kernel reaps them.
func strays(held []*spawn.Cell) map[*spawn.Cell][]int {
	found := map[*spawn.Cell][]int{}
	for _, c := range held {
		found[c] = c.Orphans()
	}
	return found
}

// endStrays kills those that are to be killed, and reports whether there were any.
func (o *orphans) endStrays(strays map[*spawn.Cell][]int) (left bool) {
	for c, pids := range strays {
		for _, pid := range pids {
			if slices.Contains(o.held, c) && o.killable(pid) { // else its init's number may be another's by now
				c.KillOrphan(pid)
				left = true
			}
		}
	}
	return left
}

// childrenOfOurs are the processes whose parent is one of our threads; man 5 proc, /proc/PID/task/TID/children.
func childrenOfOurs() []int {
	var pids []int
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range files {
		text, _ := os.ReadFile(file) // a thread that has just ended has none
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
