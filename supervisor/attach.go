package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// A program that connects and asks for it becomes an agent of an app: it registers events while it runs, handles them in
// its own context, and has lost all of it when it, or its connection, ends. docs/control.md tells how, docs/abi.md what it
// speaks from then on.

// attached is such a program, from its attach until its last job is gone. It belongs to the loop, but for what says else.
type attached struct {
	app     *app
	spec    *App // of the app when it came: of that nothing is looked at which may change
	session *control.Session
	pool    *executor.Pool
	uid     uint32
	token   string
	gone    bool

	registrations map[string]*registration // by their keys
	jobs          []aem.JobID              // those that were removed among them, until it is pruned
	live          int

	// The connection's goroutine alone has these.
	judged  map[string]*Registration // what tables came to
	sockets int                      // that were passed so far
}

// Tables reads what programs send while the supervisor runs, in JSON and with the keys of the file.
type Tables interface {
	// Handler is the handler of that name which a program is to be, by what it states of it; "" is nothing.
	Handler(name string, table []byte) (executor.Spec, error)
	// Event is what an app's event of that name is, without its handler, and started only if it says so; on a socket of the
	// program's own, or on what it states.
	Event(app, name string, table []byte, own bool) (Registration, error)
}

// answerAttach makes a program an agent. All that takes time is done here, and the loop is told when it is there.
func (s *Supervisor) answerAttach(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	a, app, spec, err := s.invited(peer, req)
	if err != nil {
		return refusal(req.Op, err)
	}
	candidate, err := newCandidate(peer, spec)
	if err != nil {
		return refusal(req.Op, err)
	}
	at := &attached{app: a, spec: app, session: peer.Session, uid: peer.UID, token: rand.Text(),
		registrations: map[string]*registration{}, judged: map[string]*Registration{}}
	fds := candidate.Descriptors()
	err = errStopping
	s.ask(func() { err = s.attach(at, candidate) })
	if err != nil {
		closeAll(fds)
		candidate.Close()
		return refusal(req.Op, err)
	}
	peer.Session.Kept = at
	peer.Session.TakeSockets()
	peer.Session.AtEnd(func() { s.Post(func() { at.pool.Detach(errors.New("it closed its connection")) }) })
	inherited, err := s.inherit(at, req.Token)
	if err != nil {
		peer.Session.Hangup()
		closeAll(fds)
		return refusal(req.Op, err)
	}
	reply := control.Done(control.Attached{ABI: abi, Handler: spec.Name, ArenaSize: spec.ArenaSize, ArenaMax: spec.ArenaMax,
		Copy: string(spec.Copy), Alloc: string(spec.Alloc), Token: at.token, Inherited: inherited})
	reply.FDs = fds
	return reply
}

// abi is the version of docs/abi.md.
const abi = 1

// invited is the app that a peer may be an agent of, and the handler that it is then.
func (s *Supervisor) invited(peer control.Peer, req control.Request) (a *app, of *App, spec executor.Spec, err error) {
	refuse := func(errno syscall.Errno, format string, args ...any) (*app, *App, executor.Spec, error) {
		return nil, nil, executor.Spec{}, control.Errorf(errno, "attach: "+format, args...)
	}
	s.ask(func() {
		if a = s.appNamed(req.App); a != nil {
			of = a.spec
		}
	})
	switch {
	case s.options.Tables == nil || peer.Session == nil:
		return refuse(syscall.ENOSYS, "this supervisor takes no programs in")
	case peer.Session.Kept != nil:
		return refuse(syscall.EISCONN, "this connection is attached")
	case peer.PID == 0:
		return refuse(syscall.ESRCH, "the process that connected is not in sight of the supervisor")
	case a == nil:
		return refuse(syscall.ENOENT, "no app %q", req.App)
	case !s.may(peer, a):
		return refuse(syscall.EPERM, "uid %d may not be an agent of app %s", peer.UID, req.App)
	case !of.Limits.AllowsAgent(string(executor.Process)):
		return refuse(syscall.EPERM, "app %s may not use agent process (limits.agents)", req.App)
	}
	spec, err = s.options.Tables.Handler(fmt.Sprintf("attached-%d", peer.PID), req.Handler)
	if err != nil {
		return refuse(syscall.EINVAL, "%v", err)
	}
	return a, of, spec, nil
}

// newCandidate makes what a program needs to be an agent.
func newCandidate(peer control.Peer, spec executor.Spec) (*executor.Candidate, error) {
	pidfd, err := peer.Session.Process()
	if errors.Is(err, errors.ErrUnsupported) && spec.Copy == executor.SharedCopy {
		pidfd, err = sys.PidfdOpen(int(peer.PID)) // if the number is another's by now, all that is missed is its end
	}
	if err == nil {
		var candidate *executor.Candidate
		if candidate, err = executor.NewCandidate(spec, int(peer.PID), pidfd, peer.UID); err == nil {
			return candidate, nil
		}
	}
	errno, advice := syscall.EPERM, ""
	errors.As(err, &errno)
	if errors.Is(err, errors.ErrUnsupported) {
		errno = syscall.EOPNOTSUPP
	}
	if spec.Copy != executor.SharedCopy {
		advice = ` (a handler with arena.copy = "shared" needs no leave to write there)`
	}
	return nil, control.Errorf(errno, "attach: %v%s", err, advice)
}

// attach gives the program its pool.
func (s *Supervisor) attach(at *attached, candidate *executor.Candidate) (err error) {
	switch a := at.app; {
	case s.phase != running:
		return errStopping
	case !slices.Contains(s.apps, a):
		return control.Errorf(syscall.ENOENT, "attach: app %s is gone", a.spec.Name)
	case !a.work.Places.Spare():
		err := &limitError{a.spec.Name, &a.gauges.processes}
		s.refused(a, err)
		return err
	}
	parted := func(why error, done func()) { s.parted(at, why, done) }
	if at.pool, err = at.app.work.Attach(candidate, at.app.spec.Limits.Activations, parted); err != nil {
		return err
	}
	s.pools = append(s.pools, at.pool)
	s.owners[at.pool] = at.app
	s.tokens[at.token] = at
	s.log.Info("attached", "app", at.app.spec.Name, "handler", at.pool.Spec().Name, "uid", at.uid)
	return nil
}

// attachedBy is the program that attached itself over a peer's connection.
func attachedBy(op control.Op, peer control.Peer) (*attached, error) {
	if peer.Session != nil {
		if at, ok := peer.Session.Kept.(*attached); ok {
			return at, nil
		}
	}
	return nil, control.Errorf(syscall.ENOTCONN, "%v: this connection is not attached to an app", op)
}
