package executor

import (
	"slices"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
)

// Exit statuses with a meaning of their own, from sysexits.h, the shell and the djb tools.
var (
	finalExits = []int{64, 65, 78, 100} // usage, data, configuration; permanent
	laterExits = []int{75, 111}         // try again later
	absentExit = []int{126, 127}        // not executable, not found
)

// ending is how the process that ran an attempt ended, as far as it decides the event's fate.
type ending struct {
	exit       int            // status, -1 when a signal ended it
	signal     syscall.Signal // 0 when it exited
	why        aem.Reason     // what is known better than the kernel tells: a timeout, OOM, the limit of processes, a broken channel
	detail     string         // in words
	syscall    string         // the denied system call, with SIGSYS
	connection bool           // the event's connection was handed over
}

// judge decides the fate of an attempt that ended with its process. The rules are tried in this order; the first that
// speaks of the case decides.
func (s *Spec) judge(e ending) aem.Completion {
	c := aem.Completion{Exit: e.exit, Reason: e.reason(), Err: e.detail}
	if e.signal != 0 {
		c.Signal = signalName(e.signal)
	}
	if c.Reason == aem.ReasonSeccomp {
		c.Syscall = e.syscall
	}
	exited := e.signal == 0 && e.why != aem.ReasonTimeout && e.why != aem.ReasonChannel
	switch {
	case s.Handover.handsSocket() && exited:
		c.Outcome, c.Reason = aem.Done, aem.ReasonNone // what passed on the connection is between its two ends
	case s.Handover.handsSocket():
		c.Outcome = aem.Failed
	case s.Handover == Direct && e.connection:
		c.Outcome = aem.Failed // its bytes cannot be taken back
		if e.why == "" {
			c.Reason = aem.ReasonConnection
		}
	case s.Handover != Direct && exited && (s.AnySuccess || slices.Contains(s.Success, e.exit)):
		c.Outcome, c.Reason = aem.Done, aem.ReasonNone
	case exited && slices.Contains(finalExits, e.exit):
		c.Outcome = aem.Failed
	case exited && slices.Contains(absentExit, e.exit):
		c.Outcome, c.Reason = aem.Returned, aem.ReasonSpawn
		c.Err = "the program could not be run: status " + itoa(e.exit)
	case exited && slices.Contains(laterExits, e.exit):
		c.Outcome = aem.Retry
	case e.signal == syscall.SIGSYS:
		c.Outcome = aem.Failed
	default:
		c.Outcome = aem.Retry
	}
	return c
}

// reason puts what is known into one word.
func (e ending) reason() aem.Reason {
	switch {
	case e.why != "":
		return e.why
	case e.signal == syscall.SIGSYS:
		return aem.ReasonSeccomp
	case e.signal != 0:
		return aem.ReasonSignal
	}
	return aem.ReasonExit
}

// answerOf turns a Go function's error, and what it said of its event, into a completion.
func answerOf(err error, said *aem.Answer) aem.Completion {
	outcome, delay := aem.Judge(err)
	c := aem.Completion{Outcome: outcome, Delay: delay, Exit: -1}
	if err == nil {
		c.Reply, c.Hangup = said.Reply, said.Hangup
	} else {
		c.Reason, c.Err = aem.ReasonHandler, err.Error()
	}
	*said = aem.Answer{}
	return c
}
