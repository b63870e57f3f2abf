package executor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// levels is how the handler's processes are scheduled at each level.
func (c *processes) levels() (births []sys.SchedAttr) {
	b := c.work.Booster
	if b == nil {
		return nil
	}
	own := b.own
	if nice := c.pool.spec.Nice; nice != nil {
		own.Nice = int32(*nice)
	}
	for i := range b.levels {
		births = append(births, b.levels[i].over(own))
	}
	return births
}

// birth is how a process is scheduled from its first instruction on: nothing, or what its event's level says.
func (c *processes) birth(a *aem.Activation) []sys.SchedAttr {
	if c.births == nil || a == nil {
		return nil
	}
	level := c.work.Booster.levels.at(a.Priority)
	return c.births[max(0, level-1):level]
}

// rehearsal has a process take the plan's steps, and each level in the cgroups that its handlers will live in, which may
// forbid it.
func (c *processes) rehearsal() func(*spawn.Maker) error {
	v := spawn.Vars{Cgroup: -1, Schedules: c.births}
	if c.births == nil {
		return func(m *spawn.Maker) error { return m.Rehearse(c.plan, v) }
	}
	s := c.slot()
	c.free = append(c.free, s) // nobody takes it before the rehearsal is over
	return func(m *spawn.Maker) error {
		if err := s.open(); err != nil {
			return err
		}
		if s.leaf != nil {
			v.Cgroup, v.Join = s.leaf.Into(), s.leaf.Join()
		}
		return m.Rehearse(c.plan, v)
	}
}

// enlist learns which thread of the process is raised: the one that its hello names.
func (p *process) enlist() error {
	b, tid := p.crew.work.Booster, p.pid
	if b == nil {
		return nil
	}
	if named := int(p.mailbox.Hello().TID); named != p.inner {
		if tid = p.threadNamed(named); tid == 0 {
			return fmt.Errorf("hello names thread %d, which the process does not have", named)
		}
	}
	if p.boosted.tid != tid { // else its arena has grown
		p.boosted = boosted{by: b, pid: p.pid, tid: tid}
		if p.attached != nil {
			p.boosted.pidfd = p.pidfd
		}
	}
	return nil
}

// maxThreads bounds how many threads of a process are looked through for the one that its hello names.
const maxThreads = 1024

// threadNamed is our number of the thread that has a number in the process's own namespace; 0 where it has none.
func (p *process) threadNamed(number int) int {
	if p.inner == p.pid { // that is the same
		if sys.IsThread(p.pid, number) {
			return number
		}
		return 0
	}
	tasks, err := os.Open(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil {
		return 0
	}
	defer tasks.Close()
	names, _ := tasks.Readdirnames(maxThreads)
	for _, name := range names {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", p.pid, name))
		_, numbers, _ := strings.Cut(string(status), "\nNSpid:")
		numbers, _, _ = strings.Cut(numbers, "\n")
		if all := strings.Fields(numbers); len(all) > 0 && all[len(all)-1] == strconv.Itoa(number) {
			tid, _ := strconv.Atoi(name)
			return tid
		}
	}
	return 0
}

// lift brings the process's thread to the level of what it has. It comes before the handler can know of that.
func (p *process) lift() {
	if p.boosted.by != nil {
		p.crew.pool.lift(&p.boosted, p.urgency())
	}
}

// urgency is the highest priority of what the process has, -1 for nothing.
func (p *process) urgency() int {
	most := -1
	for _, f := range p.flights {
		most = max(most, int(f.a.Priority))
	}
	return most
}

func (c *processes) hands() hands {
	return func(yield func(*boosted, int) bool) {
		for _, p := range c.live {
			if !yield(&p.boosted, p.urgency()) {
				return
			}
		}
	}
}
