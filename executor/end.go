package executor

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

const (
	// reportAfter is how long a handler may run before that is reported.
	reportAfter = 60 * time.Second
	// hangUpWait is how long a process may live on after it closed its channel: that of one that ends closes first.
	hangUpWait = 200 * time.Millisecond
)

// begin watches over the time of the activation that the process is at: the oldest one it has. With several the time
// begins when the one before was answered.
func (p *process) begin() {
	c := p.crew
	if p.brood != nil {
		p.owe()
		return
	}
	if len(p.flights) == 0 {
		p.deadline.Stop()
		return
	}
	p.slot.follow(p.flights[0].a)
	if timeout := c.pool.timeout(p.flights[0].a); timeout > 0 {
		if p.zygote != nil { // it waited for its birth
			timeout -= time.Duration(now() - p.flights[0].a.Started)
		}
		c.work.Alarms.After(&p.deadline, timeout, p.timedOut)
	}
	if !p.report.Set() {
		c.work.Alarms.After(&p.report, reportAfter, p.reportLong)
	}
}

// reportLong tells of an activation that has run long. It looks again and again, so that an event costs nothing.
func (p *process) reportLong() {
	c := p.crew
	if len(p.flights) == 0 {
		return
	}
	a := p.flights[0].a
	ran := time.Duration(now() - a.Started)
	if ran >= reportAfter {
		c.pool.log.Warn("a handler runs long", "app", c.work.App, "handler", c.pool.spec.Name, "event", a.Name, "id", a.Event.ID, "for", ran)
		ran = 0
	}
	c.work.Alarms.After(&p.report, reportAfter-ran, p.reportLong)
}

func (p *process) notReady() {
	p.why = aem.ReasonHello
	p.detail = fmt.Sprintf("it said no hello within %v: %s", p.crew.pool.spec.ReadyTimeout, p.helloFor())
	p.terminate()
}

// helloFor is what a hello was awaited for.
func (p *process) helloFor() string {
	if p.larger > 0 {
		return fmt.Sprintf("it was asked for a larger arena, for an event of %d bytes", p.larger)
	}
	return `handover = "direct" is for programs that use an SDK`
}

func (p *process) timedOut() {
	p.why = aem.ReasonTimeout
	p.detail = fmt.Sprintf("it ran longer than %v", p.crew.pool.timeout(p.flights[0].a))
	p.terminate()
}

func (p *process) hungUp() {
	if p.attached != nil {
		p.part(errors.New("it closed its channel"))
	} else if p.brood != nil && p.brood.left {
		p.barren()
	} else if !p.ending {
		p.crew.work.Alarms.After(&p.killing, hangUpWait, func() { p.lie(errors.New("it closed its channel")) })
	}
}

// lie ends a process that broke the rules of the channel or the page, or that cannot be served.
func (p *process) lie(err error) {
	if p.why == "" {
		p.why, p.detail = aem.ReasonChannel, err.Error()
	}
	p.kill()
}

// trip ends a process that what is for it did not reach. One that has ended is let tell how by itself.
func (p *process) trip(err error) {
	if !errors.Is(err, syscall.ESRCH) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		p.lie(err)
	} else if !p.ending {
		p.crew.work.Alarms.After(&p.killing, hangUpWait, func() { p.lie(err) })
	}
}

// end tells a process that has nothing to do to end.
func (p *process) end() {
	if p.ending {
		return
	}
	p.leave()
	p.deadline.Stop()
	p.mailbox.Stop() //nolint:errcheck // a process that takes no message is killed after a while
	p.crew.work.Alarms.After(&p.killing, p.crew.pool.spec.KillAfter, p.kill)
}

// leave takes the process out of those that activations are given to.
func (p *process) leave() {
	p.ending = true
	p.crew.unrest(p)
}

// terminate asks the whole session to end, and kills it after a while.
func (p *process) terminate() {
	if p.attached != nil {
		p.kill()
		return
	}
	p.leave()
	p.signalGroup(syscall.SIGTERM)
	p.crew.work.Alarms.After(&p.killing, p.crew.pool.spec.KillAfter, p.strike)
}

// strike kills a process that does not do what it is to. The children of a zygote are not to blame for that.
func (p *process) strike() {
	if p.brood == nil {
		p.kill()
		return
	}
	p.leave()
	sys.PidfdSendSignal(p.pidfd, syscall.SIGKILL) //nolint:errcheck // it is gone
}

// kill ends the process and all that its slot holds. Of a zygote's child it is the session, because the leaf is
// the zygote's and its other children's too.
func (p *process) kill() {
	if p.attached != nil {
		p.part(errors.New(cmp.Or(p.detail, "it did not end its part when it was told to")))
		return
	}
	if p.brood != nil {
		p.killChildren()
	}
	if !p.here || p.pidfd == 0 || p.zombie {
		return // still on the lane, or gone
	}
	p.leave()
	if p.zygote != nil {
		if p.signalGroup(syscall.SIGKILL); !p.mayBeEnded() {
			p.abandon()
		}
		return
	}
	if p.slot.leaf == nil || p.slot.leaf.Kill() != nil {
		p.signalGroup(syscall.SIGKILL)
	}
	sys.PidfdSendSignal(p.pidfd, syscall.SIGKILL) //nolint:errcheck // it is gone
}

// signalGroup sends a signal to the process and all of its group. The number of a process that the lane made is its own
// until we reap it; that of a zygote's child only as long as the zygote keeps to the rules, so there the pidfd names it.
func (p *process) signalGroup(sig syscall.Signal) {
	switch {
	case p.zygote == nil:
		sys.KillGroup(p.pid, sig)
	case p.mayBeEnded():
		if sys.PidfdSignalGroup(p.pidfd, sig) != nil { // it leads none yet, or the kernel is older than 6.9
			sys.PidfdSendSignal(p.pidfd, sig) //nolint:errcheck // it is gone
		}
	}
}
