package procwatch

import (
	"errors"
	"slices"

	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// begin takes a view in.
func (w *Watcher) begin(v *view) {
	w.views[v.id] = v
	switch {
	case v.spec.many():
		w.scan(v)
	case v.spec.PIDFile != "":
		w.look(v)
	default:
		if !w.attach(v, v.spec.PID) {
			w.Tell(Exit{View: v.id, How: Unknown, PID: v.spec.PID, Code: -1})
		}
	}
}

// end forgets a view, and the processes that nobody else wants to know of.
func (w *Watcher) end(id uint64) {
	v := w.views[id]
	delete(w.views, id)
	for _, p := range w.processes {
		p.views = slices.DeleteFunc(p.views, func(other *view) bool { return other == v })
		if len(p.views) == 0 {
			w.forget(p)
		}
	}
}

// forget lets go of a process.
func (w *Watcher) forget(p *process) {
	w.unpoll(p)
	delete(w.processes, p.pid)
	w.dying = slices.DeleteFunc(w.dying, func(other *process) bool { return other == p })
}

func (w *Watcher) unpoll(p *process) {
	if p.pidfd != 0 {
		w.Unpoll(p.pidfd)
		sys.Close(p.pidfd)
		p.pidfd = 0
	}
}

// look reads a view's file, again and again until its process is there.
func (w *Watcher) look(v *view) {
	pid, err := readPIDFile(v.spec.PIDFile)
	if err == nil && !w.attach(v, pid) {
		err = errAbsent // it ended meanwhile
	}
	if err != nil {
		w.nextLook = timing.Now() + int64(lookWait)
	}
	told := ""
	if err != nil && !errors.Is(err, errAbsent) {
		told = err.Error()
	}
	if told != v.told {
		if v.told = told; told == "" {
			err = nil
		}
		w.trouble(v.id, err)
	}
}

// attach has a view watch one process. It reports false when that is not there.
func (w *Watcher) attach(v *view, pid int) bool {
	p := w.known(pid)
	if p == nil {
		return false
	}
	if w.connector == 0 && p.pidfd == 0 && !w.poll(p) {
		return false
	}
	v.process = p
	p.views = append(p.views, v)
	w.processes[pid] = p
	return true
}

// poll watches a process by a pidfd. It is still the one that we read of: its number was not used again in between.
func (w *Watcher) poll(p *process) bool {
	fd, err := sys.PidfdOpen(p.pid)
	if err != nil {
		return false
	}
	if s, err := readState(p.pid); err != nil || s.began != p.began || w.Poll(fd, sys.EPOLLIN, uint64(p.pid)) != nil {
		sys.Close(fd)
		return false
	}
	p.pidfd = fd
	return true
}

// known is a process that is there, nil when none is.
func (w *Watcher) known(pid int) *process {
	s, err := readState(pid)
	if err != nil || s.over() {
		return nil
	}
	if p := w.processes[pid]; p != nil && p.began == s.began {
		return p
	}
	return &process{
		pid: pid, began: s.began, comm: s.comm, readAt: sys.Monotonic(), exe: readExe(pid), cgroups: readCgroups(pid),
	}
}

// scan looks for the processes that a view of many wants.
func (w *Watcher) scan(v *view) {
	for _, pid := range allProcesses() {
		if p := w.known(pid); p != nil && v.wants(p) && !slices.Contains(p.views, v) {
			p.views = append(p.views, v)
			w.processes[pid] = p
		}
	}
}

// hear reads what the connector tells.
func (w *Watcher) hear() {
	var b [recordBytes]byte
	for {
		n, err := sys.FromKernel(w.connector, b[:])
		switch {
		case errors.Is(err, sys.EAGAIN):
			w.settle()
			return
		case errors.Is(err, sys.ENOBUFS):
			w.lost()
		case err != nil:
			panic("aem: internal error: read process connector: " + err.Error()) // man 7 netlink: nothing else can go wrong
		default:
			w.take(b[:n])
		}
	}
}

// take follows the messages of one datagram. What is no event of a process says nothing.
func (w *Watcher) take(b []byte) {
	for len(b) > 0 {
		r, rest, err := cutRecord(b)
		if err != nil {
			return
		}
		w.follow(r)
		b = rest
	}
}

func (w *Watcher) follow(r record) {
	switch r.what {
	case sys.PROC_EVENT_FORK:
		if r.thread == r.pid {
			w.forked(r)
		}
	case sys.PROC_EVENT_EXEC:
		w.executed(r.pid, r.time)
	case sys.PROC_EVENT_EXIT:
		w.exited(r)
	}
}

// forked takes a new process in, if a view wants to know of it. One that is over already is what its parent was.
func (w *Watcher) forked(r record) {
	if !w.watchesMany() {
		return
	}
	p := w.known(r.pid)
	if p == nil {
		parent := w.processes[r.parent]
		if parent == nil {
			return
		}
		p = &process{pid: r.pid, comm: parent.comm, exe: parent.exe, cgroups: parent.cgroups}
	}
	w.choose(p)
}

// executed reads anew what a process runs, if it was not read since. One that is over already runs nothing that anybody
// could know.
func (w *Watcher) executed(pid int, at int64) {
	p := w.processes[pid]
	if p == nil {
		if !w.watchesMany() {
			return
		}
		if p = w.known(pid); p == nil {
			return
		}
	}
	p.first, p.last, p.firstOver = 0, 0, false // its other threads are gone, and one of them has its number now
	if at > p.readAt {
		p.reread()
	}
	w.choose(p)
}

// reread reads anew what p runs.
func (p *process) reread() {
	p.readAt = sys.Monotonic()
	if p.exe = readExe(p.pid); p.exe == "" {
		return
	}
	p.cgroups = readCgroups(p.pid)
	if s, err := readState(p.pid); err == nil {
		p.comm = s.comm
	}
}

func (w *Watcher) watchesMany() bool {
	for _, v := range w.views {
		if v.spec.many() {
			return true
		}
	}
	return false
}

// choose has the views of many watch a process, or not any more.
func (w *Watcher) choose(p *process) {
	p.views = slices.DeleteFunc(p.views, func(v *view) bool { return v.spec.many() })
	for _, v := range w.views {
		if v.spec.many() && v.wants(p) {
			p.views = append(p.views, v)
		}
	}
	if len(p.views) > 0 {
		w.processes[p.pid] = p
	} else {
		w.forget(p)
	}
}

// exited takes the end of a thread: it may be that of its process.
func (w *Watcher) exited(r record) {
	p := w.processes[r.pid]
	if p == nil {
		if p = w.stranger(r); p == nil {
			return
		}
	}
	if p.last = r.status; r.thread == r.pid {
		p.first, p.firstOver = r.status, true
	}
	s, err := readState(p.pid)
	same := err == nil && (p.began == 0 || s.began == p.began)
	if !p.firstOver || p.isOver || same && !s.over() {
		return // of the first thread it is yet to be told, or other threads go on
	}
	p.isOver = true
	w.over = append(w.over, p)
}

// stranger is a process that nobody wanted to know of so far. It may have come to a cgroup since.
func (w *Watcher) stranger(r record) *process {
	if r.thread != r.pid || !w.watchesMany() {
		return nil
	}
	p := &process{pid: r.pid}
	if s, err := readState(r.pid); err == nil {
		p.comm, p.began = s.comm, s.began
	}
	if w.settled(p); p.views == nil {
		return nil
	}
	w.processes[p.pid] = p
	return p
}

// settled has the views of cgroups watch a process that is over by where it is now, as long as that can be read: until
// its parent has waited for it.
func (w *Watcher) settled(p *process) {
	if p.cgroups = readCgroups(p.pid); p.cgroups == nil {
		return
	}
	p.views = slices.DeleteFunc(p.views, func(v *view) bool { return v.spec.Cgroup != "" })
	for _, v := range w.views {
		if v.spec.Cgroup != "" && v.wants(p) {
			p.views = append(p.views, v)
		}
	}
}

// settle reports the processes that are over. Where /proc may tell how, it knows best; else it is what the first thread
// ended with, or the last one where the first had nothing to say.
func (w *Watcher) settle() {
	over := w.over
	w.over = nil
	for _, p := range over {
		s, err := readState(p.pid)
		if same := err == nil && (p.began == 0 || s.began == p.began); same {
			w.settled(p)
			if w.mayTell(p.pid) {
				w.gone(p, exitOf(s.status))
				continue
			}
		}
		status := p.first
		if status == 0 {
			status = p.last
		}
		w.gone(p, exitOf(status))
	}
}

// mayTell reports whether /proc tells us how a process ended that is over; where it may not, it says 0.
func (w *Watcher) mayTell(pid int) bool { return w.tracer || isOurs(pid) }

func exitOf(status uint32) Exit {
	e, ok := sys.ExitOf(status)
	switch {
	case !ok:
		return Exit{How: Unknown, Code: -1}
	case e.Signal != 0:
		return Exit{How: Signaled, Code: -1, Signal: e.Signal, Core: e.Core}
	}
	return Exit{How: Exited, Code: e.Code}
}

// pidfdReady takes what a pidfd tells: its process is over, and later that its parent has waited for it.
func (w *Watcher) pidfdReady(pid int) {
	p := w.processes[pid]
	if p == nil || p.pidfd == 0 {
		return
	}
	if s, err := readState(pid); err == nil && s.began == p.began && w.mayTell(pid) {
		w.gone(p, exitOf(s.status))
		return
	}
	exit, ok, err := sys.PidfdExit(p.pidfd)
	switch {
	case ok && exit.Signal != 0:
		w.gone(p, Exit{How: Signaled, Code: -1, Signal: exit.Signal, Core: exit.Core})
	case ok:
		w.gone(p, Exit{How: Exited, Code: exit.Code})
	case err != nil: // this kernel never tells
		w.gone(p, Exit{How: Unknown, Code: -1})
	case p.deadline == 0: // its parent has not waited for it yet: from here on only that is of interest
		p.deadline = timing.Now() + int64(reapWait)
		w.dying = append(w.dying, p)
		w.Unpoll(p.pidfd)
		w.Poll(p.pidfd, sys.EPOLLHUP, uint64(pid)) //nolint:errcheck // then the deadline tells
	}
}

// gone reports a process to its views, which look for another one if that is what they do.
func (w *Watcher) gone(p *process, e Exit) {
	e.PID, e.Exe, e.Comm = p.pid, p.exe, p.comm
	views := p.views
	p.views = nil
	w.forget(p)
	for _, v := range views {
		if w.views[v.id] != v {
			continue
		}
		e.View = v.id
		w.Tell(e)
		if v.process = nil; v.spec.PIDFile != "" {
			w.look(v)
		}
	}
}

// lost compares everything with /proc after the connector had no room: what ended meanwhile is told, how it did where
// that can be found still, and views of many are told that there may have been others.
func (w *Watcher) lost() {
	for _, p := range w.processes {
		s, err := readState(p.pid)
		switch same := err == nil && s.began == p.began; {
		case !same:
			w.gone(p, Exit{How: Unknown, Code: -1})
		case s.over() && w.mayTell(p.pid):
			w.gone(p, exitOf(s.status))
		case s.over():
			w.gone(p, Exit{How: Unknown, Code: -1})
		default:
			w.executed(p.pid, sys.Monotonic())
		}
	}
	for _, v := range w.views {
		if v.spec.many() {
			w.Tell(Exit{View: v.id, How: Lost, Code: -1})
			w.scan(v)
		}
	}
}
