package source

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// OwnSocket is a socket that a program has and goes on having, of which socket.ready tells when it is ready. All that is
// done with it here is to wait: who shares a socket can hold its lock or change its flags for as long as he likes, and
// whoever read from it, or asked it anything, would wait for that.
type OwnSocket struct {
	FD int    // a copy, closed by who made it when its job is gone
	On uint32 // what it is waited for, man 2 epoll_ctl
}

// conditions are the words for what a socket is ready for. Of hup and err no program is spared.
var conditions = []struct {
	name         string
	wish, report uint32
}{
	{"in", sys.EPOLLIN, sys.EPOLLIN},
	{"out", sys.EPOLLOUT, sys.EPOLLOUT},
	{"hup", sys.EPOLLRDHUP, sys.EPOLLRDHUP | sys.EPOLLHUP},
	{"err", 0, sys.EPOLLERR},
}

// NewOwnSocket makes a copy of a program's socket, to wait for some of the conditions in, out and hup; none are in.
func NewOwnSocket(fd int, on []string) (*OwnSocket, error) {
	if on == nil {
		on = []string{"in"}
	}
	s := &OwnSocket{}
	for _, name := range on {
		wish := uint32(0)
		for _, c := range conditions {
			if c.name == name {
				wish = c.wish
			}
		}
		if wish == 0 {
			return nil, fmt.Errorf("condition %q: want in, out or hup", name)
		}
		s.On |= wish
	}
	if _, err := sys.KindOf(fd); err != nil {
		return nil, errors.New("the descriptor is no socket of TCP, UDP or UNIX")
	}
	var err error
	s.FD, err = sys.Dup(fd, 0)
	return s, err
}

// owned is a program's socket of a started job. From its event until that has its fate it is not waited for.
type owned struct {
	*OwnSocket
	env     Env
	job     aem.JobID
	watch   Watch
	held    bool // by the job
	given   bool // its event has no fate yet
	stopped bool
	again   timing.Alarm
}

func (s *readies) startOwn(id aem.JobID, own *OwnSocket) (err error) {
	o := &owned{OwnSocket: own, env: s.env, job: id}
	if o.watch, err = s.env.Poller.Add(own.FD, own.On, o); err == nil {
		s.owned[id] = o
	}
	return err
}

// Ready tells of it.
func (o *owned) Ready(events uint32) {
	o.env.Poller.Hold(o.watch)
	o.given = true
	var is []string
	for _, c := range conditions {
		if events&c.report != 0 {
			is = append(is, c.name)
		}
	}
	e := o.env.Sink.NewEvent("socket.ready")
	e.Add(aem.Fact{Name: "conditions", Value: strings.Join(is, " ")})
	e.Origin = o
	o.env.Sink.Detected(o.job, e)
}

// Ended waits for it again. A program that leaves it as it was is told again at once: it is the program's time.
func (o *owned) Ended(*aem.Event, *aem.Completion) {
	o.given = false
	o.resume()
}

func (o *owned) hold() {
	o.held = true
	o.env.Poller.Hold(o.watch)
}

func (o *owned) resume() {
	if o.held || o.given || o.stopped || o.again.Set() {
		return
	}
	if err := o.env.Poller.Resume(o.watch); err != nil { // no memory for it
		o.env.Alarms.After(&o.again, acceptRetry, o.resume)
	}
}

func (o *owned) stop() {
	o.stopped = true
	o.again.Stop()
	o.env.Poller.Remove(o.watch)
}
