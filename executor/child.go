package executor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// forked is what a zygote's child has beyond other processes.
type forked struct {
	number uint64 // of its event in the zygote's mailbox
	ended  bool   // it did; how, the zygote is to tell
	asked  bool   // it is asked, and may have waited for it by now
	told   bool   // it has told
	exit   sys.Exit
	known  bool // as a child of its zygote
}

// born begins to follow a child. It has its event since before it was heard of.
//
// Its number is what the kernel says of who sent the message, so nobody can name a stranger; and the zygote may not wait
// for it before we ask how it ended, so the number is still its own. A zygote that breaks this rule could have it become
// another's, and a message can be had written by somebody who does not know what it means: so who the descriptor is for
// is looked at once more. From then on the descriptor is the process, whatever becomes of the number.
func (p *process) born(news *directcopy.Child) {
	c := p.crew
	pidfd, known, err := p.follow(news.PID)
	if err != nil {
		p.lie(fmt.Errorf("follow process %d, which says that it has event %d: %w", news.PID, news.Number, err))
		return
	}
	f, ok := p.disembark(news.Number)
	if !ok { // given up already
		if known {
			sys.PidfdSendSignal(pidfd, syscall.SIGKILL) //nolint:errcheck // it has just ended
		}
		if pidfd != 0 {
			sys.Close(pidfd)
		}
		return
	}
	if f.a.Event.FD >= 0 {
		f.connection = true
		closeConnection(f.a.Event)
	}
	k := &process{
		crew: c, slot: f.seat, zygote: p, forked: forked{number: news.Number, known: known}, pid: news.PID, pidfd: pidfd,
		here: true, ready: true, used: true, flights: []flight{f},
	}
	p.brood.children[news.Number] = k
	c.live = append(c.live, k)
	c.work.Loop.Born(k.pid)
	k.boosted = boosted{by: c.work.Booster, pid: k.pid, tid: k.pid, pidfd: pidfd}
	if pidfd == 0 {
		k.endLater() // when what it said was read
		return
	}
	if k.watches[0], err = c.work.Poller.Add(pidfd, sys.EPOLLIN, source.WatcherFunc(k.exited)); err != nil {
		p.lie(err) // no end of it would be seen
		k.forked.told, k.forked.exit = true, sys.Exit{Signal: syscall.SIGKILL}
		k.exited(0)
		return
	}
	if err := k.record(); err != nil {
		k.why, k.detail = aem.ReasonSpawn, err.Error() // it is being killed
	}
	if p.brood.doomed {
		k.doom()
	}
	k.lift()
	k.begin()
	p.settle()
}

// follow opens the process that says that it is a child of the zygote, and refuses a stranger. Where the zygote has ended,
// so that nothing may tell whose child it was, its end is waited for all the same, and it is only ended if something does
// tell then: a process that is on its way out is in no cgroup's list any more. pidfd is 0 where it is gone already.
func (p *process) follow(pid int) (pidfd int, known bool, err error) {
	pidfd, err = sys.PidfdOpen(pid)
	if err != nil {
		if errors.Is(err, syscall.ESRCH) && p.ended() {
			err = nil
		}
		return 0, false, err
	}
	if known = p.owns(pidfd, pid); !known && !p.ended() {
		sys.Close(pidfd)
		return 0, false, errors.New("it is neither a child of the zygote nor in its cgroup")
	}
	return pidfd, known, nil
}

// ended reports whether the zygote itself has.
func (p *process) ended() bool {
	if p.brood.left {
		return true
	}
	_, ok, err := sys.PeekExit(p.pidfd)
	return ok || err != nil
}

// owns reports whether a process is the zygote's. The children of one that has ended have another parent: they are told by
// their leaf, and without cgroups by being ours, if we are a subreaper.
func (p *process) owns(pidfd, pid int) bool {
	parent, err := sys.PidfdParent(pidfd, pid)
	if err != nil {
		return false
	}
	if parent == p.pid && !p.brood.left {
		return true
	}
	if p.slot.leaf != nil {
		if pids, err := p.slot.leaf.PIDs(); err == nil {
			return slices.Contains(pids, pid)
		}
	}
	return parent == os.Getpid() && p.ended()
}

// endLater takes the child as ended, in the next turn.
func (p *process) endLater() {
	p.crew.work.Loop.Post(func() {
		if p.zygote.brood.children[p.forked.number] == p {
			p.exited(0)
		}
	})
}

// abandon gives up a child that is to be ended and cannot be told for one: nobody else's process is ended for it.
func (p *process) abandon() {
	if !p.forked.told {
		p.forked.told, p.forked.exit = true, sys.Exit{Code: -1}
		p.endLater()
	}
}

// mayBeEnded reports whether the child can be ended as one of the zygote's.
func (p *process) mayBeEnded() bool {
	return p.pidfd != 0 && (p.forked.known || p.zygote.owns(p.pidfd, p.pid))
}

// retire lets a child end that has answered.
func (p *process) retire() {
	p.leave()
	p.deadline.Stop()
	p.report.Stop()
	if !p.killing.Set() {
		p.crew.work.Alarms.After(&p.killing, p.crew.pool.spec.KillAfter, p.kill)
	}
}

// doom kills a child with its zygote, and says why.
func (p *process) doom() {
	if why := p.zygote.why; p.why == "" && why != "" {
		p.why, p.detail = why, "its zygote: "+p.zygote.detail
	}
	p.kill()
}

// inquire learns how a child ended: from its zygote, or by itself if that is gone and the child ours.
func (p *process) inquire() (exit sys.Exit, ok bool, err error) {
	z, f := p.zygote, &p.forked
	if f.told {
		return f.exit, true, nil
	}
	if !f.ended {
		f.ended = true
		p.crew.work.Poller.Hold(p.watches[0])
		if !z.brood.left {
			z.brood.ended = append(z.brood.ended, p)
		}
	}
	if !z.brood.left {
		z.askEnds()
		return exit, false, nil
	}
	if z.drain(); f.told {
		return exit, false, nil // that it was told went on with it
	}
	z.mailbox.Forget(f.number)
	if f.told = true; !f.asked {
		p.crew.work.Loop.Reaped(p.pid)
	}
	if p.pidfd != 0 {
		f.exit, ok, err = sys.WaitPIDFD(p.pidfd, true)
	}
	if errors.Is(err, syscall.ECHILD) || err == nil && !ok {
		// Whoever took it in has waited for it, or its zygote did and told nobody.
		if p.why == "" {
			p.why, p.detail = aem.ReasonChannel, "its zygote ended before it told how it did"
		}
		f.exit, err = sys.Exit{Code: -1}, nil
	}
	return f.exit, true, err
}
