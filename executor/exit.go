package executor

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// exited reaps the process and decides what becomes of the activations it had.
func (p *process) exited(uint32) {
	c := p.crew
	switch { // what it answered before it ended counts
	case p.brood != nil:
		p.drain()
	case p.mailbox != nil && p.watches[2] != 0:
		p.answered(0)
	}
	if p.leavesGroup() {
		p.signalGroup(syscall.SIGKILL) // while the dead leader still keeps the group's number
	}
	exit, ok, err := p.reap()
	if err == nil && !ok {
		return // not yet, or a record is waited for
	}
	p.boosted.tid = 0
	e := p.fate(exit)
	if err != nil {
		e.detail = "reap process: " + err.Error()
	}
	if p.brood != nil {
		p.pass(e)
		return
	}
	flights, bound := p.flights, p.bound
	if p.mailbox != nil {
		p.taken = p.mailbox.Taken()
	}
	c.busy -= len(flights)
	p.unrecord()
	unasked := p.unasked()
	stderr := ""
	if len(flights) > 0 || bound != nil || unasked {
		stderr = p.slot.stderr.Drain()
	}
	p.close()
	c.forget(p)
	if bound != nil { // it was made for this one, and ended before it had it
		c.busy--
		p.fail(bound, e, stderr, false)
	}
	for i, f := range flights {
		e.connection = f.connection
		p.failFlight(f, i, e, stderr)
	}
	if unasked && bound == nil && len(flights) == 0 {
		p.trouble(e, stderr)
	}
	c.fill()
}

// unasked reports whether the process was not told to end, or only for what it did.
func (p *process) unasked() bool { return !p.ending || p.why != "" && p.why != aem.ReasonTimeout }

// trouble tells of a process that ended, or had to be, while it had no event: one that always does so would be made
// again without end, but for the wait that grows.
func (p *process) trouble(e ending, stderr string) {
	how := "ended by itself"
	if p.ending {
		how = "was ended"
	}
	if e.why == aem.ReasonOOM {
		e.detail = fmt.Sprintf("the app's memory is too small for size = %d of it", p.crew.pool.spec.Size)
	}
	p.crew.trouble(fmt.Errorf("handler %s %s: %s", p.crew.pool.spec.Name, how, describe(e, stderr)))
}

// leavesGroup reports whether what the process left behind is to be ended by its group: no leaf is emptied after it.
func (p *process) leavesGroup() bool {
	switch {
	case p.crew.pool.spec.Leftover != KillLeftover:
		return false
	case p.zygote != nil:
		return !p.forked.told // then it was done
	}
	return !p.crew.work.Group.Kills()
}

// Records of denied system calls come a little after the process's end, if at all.
const (
	recordWait = 5 * time.Millisecond
	recordAsks = 10
)

// reap learns how the process ended. It stays a zombie while a copy into it is under way, and for a moment when the
// record that names a denied system call is still to come.
func (p *process) reap() (exit sys.Exit, ok bool, err error) {
	if exit, ok, err = p.peek(); err != nil || !ok {
		return exit, ok, err
	}
	if exit.Signal == syscall.SIGSYS && p.denied == "" {
		if p.denied, p.undenied = p.crew.work.Denied(p.pid); p.denied == "" && p.undenied == "" && p.asked < recordAsks {
			p.asked++
			p.crew.work.Poller.Hold(p.watches[0])
			p.crew.work.Alarms.After(&p.deadline, recordWait, func() { p.exited(0) })
			return exit, false, nil
		}
	}
	if p.copying == nil && p.zygote == nil {
		p.crew.work.Loop.Reaped(p.pid)
		return sys.WaitPIDFD(p.pidfd, true)
	}
	return exit, true, nil
}

// peek learns how the process ended, and leaves it as it is. A zygote's child is the zygote's to wait for.
func (p *process) peek() (exit sys.Exit, ok bool, err error) {
	if p.zygote != nil {
		return p.inquire()
	}
	return sys.PeekExit(p.pidfd)
}

// fate puts together what is known of the process's end.
func (p *process) fate(exit sys.Exit) ending {
	e := ending{exit: exit.Code, signal: exit.Signal, why: p.why, detail: p.detail}
	if exit.Signal != 0 {
		e.exit = -1
	}
	if ended := exit.Signal != 0 || exit.Code != 0; ended && (e.why == "" || e.why == aem.ReasonChannel) {
		if reason := p.slot.blame(exit.Signal == syscall.SIGKILL); reason != "" {
			e.why = reason
		}
	}
	if e.why == "" && p.mailbox != nil && !p.ready {
		e.why = aem.ReasonHello
		if e.detail == "" {
			e.detail = "it ended before it said hello: " + p.helloFor()
		}
	}
	if exit.Signal == syscall.SIGSYS {
		e.why, e.syscall = "", "unknown"
		if p.denied != "" {
			e.syscall = p.denied
		}
		e.detail = p.undenied
	}
	return e
}

// failFlight completes what the process had and did not answer.
func (p *process) failFlight(f flight, i int, e ending, stderr string) {
	began := p.mailbox == nil || f.number < p.taken
	if !began && !f.connection && i > 0 {
		p.crew.pool.complete(f.a, aem.Completion{Outcome: aem.Returned, Exit: -1}) // it never took this one
		return
	}
	p.fail(f.a, e, stderr, began)
}

// fail completes an attempt that the process's end was the end of, and that its handler had begun or not.
func (p *process) fail(a *aem.Activation, e ending, stderr string, began bool) {
	c := p.crew
	completion := c.pool.spec.judge(e)
	completion.Stderr = stderr
	completion.Undone = began && completion.Outcome != aem.Returned && p.destructs()
	switch completion.Outcome {
	case aem.Done:
		completion.Stderr = ""
	case aem.Returned:
		c.trouble(fmt.Errorf("handler %s: %s", c.pool.spec.Name, describe(e, stderr)))
	}
	c.pool.complete(a, completion)
}

// describe tells in words how a process ended.
func describe(e ending, stderr string) string {
	var b strings.Builder
	if e.signal != 0 {
		b.WriteString("signal=" + signalName(e.signal))
	} else {
		b.WriteString("exit=" + strconv.Itoa(e.exit))
	}
	if e.why != "" {
		b.WriteString(" reason=" + string(e.why))
	}
	if e.detail != "" {
		b.WriteString(": " + e.detail)
	}
	if stderr != "" {
		b.WriteString(" stderr=" + strconv.Quote(stderr))
	}
	return b.String()
}

func itoa(n int) string { return strconv.Itoa(n) }

// signalName is the name of a signal without SIG, as "KILL".
func signalName(s syscall.Signal) string { return sys.SignalName(s) }
