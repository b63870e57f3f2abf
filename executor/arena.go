package executor

import "github.com/aem-exec/aem-exec/aem"

// shownArenas bounds how many processes Pool.Arena names: what it answers goes to people.
const shownArenas = 64

// Arena is what the memory of the pool's processes has seen, nil where events are not copied into it.
func (p *Pool) Arena() *aem.HandlerArena {
	c, ok := p.crew.(*processes)
	if !ok || p.spec.Handover != Direct {
		return nil
	}
	all := &aem.HandlerArena{Arena: c.gone, Processes: []aem.ProcessArena{}}
	for _, process := range c.live {
		if !process.here || process.mailbox == nil {
			continue // the lane has it, or it speaks through its zygote's
		}
		a := aem.Arena(process.mailbox.Stats())
		all.Add(a)
		if len(all.Processes) < shownArenas {
			all.Processes = append(all.Processes, aem.ProcessArena{PID: process.pid, Arena: a})
		}
	}
	return all
}

// bury keeps what the arena of a process that is gone has seen.
func (c *processes) bury(p *process) {
	a := aem.Arena(p.mailbox.Stats())
	a.Size, a.Used = 0, 0
	c.gone.Add(a)
}
