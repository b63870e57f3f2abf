package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// Agent is this program as an agent of an app, from Attach until Close. The goroutine that attached, and no other, handles
// its events, in Dispatch or Keepalive, and closes it; the other methods may be called from anywhere, its handlers among
// them.
type Agent struct {
	inbox  *directcopy.Inbox
	given  control.Attached
	poll   int // epoll instance: the inbox's waiter and the bell
	bell   int // eventfd that wakes Keepalive
	event  Event
	over   bool
	around around

	signals chan os.Signal // as they come
	arrived chan os.Signal // the one that ends Keepalive, or the next one

	mu       sync.Mutex // guards what follows
	client   *control.Client
	handlers map[aem.JobID]Func
}

// RuntimeDir says where the supervisor's control socket is. The default is the connection that the process was given as a
// handler with control = true, for one Attach, and else where `aem-exec ctl` looks.
func RuntimeDir(dir string) Option { return func(o *options) { o.dir = dir } }

// Token says what the program that forked this one was given: what it had registered to be inherited, this one has, too.
func Token(t string) Option { return func(o *options) { o.token = t } }

// Settings are keys of a handler in the file that hold for this program, as {"timeout": "2s", "arena": {"copy": "shared"}}.
func Settings(table map[string]any) Option { return func(o *options) { o.settings = table } }

// Attach makes this program an agent of an app. It binds the calling goroutine to its thread, which is the one that handles
// events. When the program or its connection ends, all that it has registered ends with it.
func Attach(ctx context.Context, app string, opts ...Option) (*Agent, error) {
	o := options{inFlight: 1}
	for _, opt := range opts {
		opt(&o)
	}
	req := control.Request{Op: control.OpAttach, App: app, Token: o.token}
	if o.settings != nil {
		var err error
		if req.Handler, err = json.Marshal(o.settings); err != nil {
			return nil, fmt.Errorf("attach: settings: %w", err)
		}
	}
	client, err := connect(o.dir)
	if err != nil {
		return nil, err
	}
	a := &Agent{client: client, handlers: map[aem.JobID]Func{}, poll: -1, bell: -1, around: o.around,
		signals: make(chan os.Signal, keptSignals), arrived: make(chan os.Signal, 1)}
	runtime.LockOSThread()
	if err = a.open(ctx, req, &o); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// connect connects to the supervisor in a runtime directory. Where none is named, a handler process takes the connection that it
// was given, if it was.
func connect(dir string) (*control.Client, error) {
	if dir == "" {
		if client, err := control.TakeGiven(); client != nil || err != nil {
			return client, err
		}
	}
	return control.Dial(control.OwnEnvironment().RuntimeDir(dir, ""))
}

// open asks to be an agent, and says hello as one.
func (a *Agent) open(ctx context.Context, req control.Request, o *options) error {
	if pid, err := a.client.Server(); err == nil && pid != 0 {
		sys.LetTrace(pid) // until it has opened this memory, which it does before it answers
		defer sys.LetTrace(0)
	}
	reply, err := a.client.Do(ctx, req)
	if err != nil {
		return err
	}
	if a.given, err = control.ResultOf[control.Attached](reply); err != nil {
		return err
	}
	if want := 4 + shared(a.given.Copy); a.given.ABI != 1 || len(reply.FDs) != want {
		for _, fd := range reply.FDs {
			sys.Close(fd)
		}
		return fmt.Errorf("attach: ABI %d and %d descriptors, want 1 and %d", a.given.ABI, len(reply.FDs), want)
	}
	if a.inbox, err = directcopy.Attach(reply.FDs, int(a.given.ArenaSize), o.memory); err != nil {
		return err
	}
	if a.poll, err = sys.EpollCreate(); err != nil {
		return err
	}
	if a.bell, err = sys.Eventfd(); err != nil {
		return err
	}
	if err = errors.Join(sys.EpollAdd(a.poll, a.inbox.Waiter(), sys.EPOLLIN, 0), sys.EpollAdd(a.poll, a.bell, sys.EPOLLIN, 1)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, a.inbox.Stop)()
	if err = a.inbox.Hello(o.inFlight); errors.Is(err, io.EOF) {
		err = errors.New("attach: the supervisor ended it: its log says why")
	}
	return err
}

func shared(copy string) int {
	if copy == "shared" {
		return 1
	}
	return 0
}

// keptSignals bounds those that arrive between two calls of Keepalive.
const keptSignals = 16

// Close ends the program's part as an agent, and all that it has registered. It does not wait for events that it has.
func (a *Agent) Close() {
	if a.over {
		return
	}
	a.over = true
	signal.Stop(a.signals)
	a.client.Close() //nolint:errcheck // it is given up
	if a.inbox != nil {
		a.inbox.Close()
	}
	for _, fd := range []int{a.poll, a.bell} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
	runtime.UnlockOSThread()
}

// Token is for programs that this one forks.
func (a *Agent) Token() string { return a.given.Token }

// Inherited are the jobs that Token has brought, stopped, and those that they are like. Handle gives them their handlers.
func (a *Agent) Inherited() []control.Inherited { return a.given.Inherited }

// FD polls readable when Dispatch has something to do: for a loop of the program's own.
func (a *Agent) FD() int { return a.poll }

// Dispatch handles the events that are there, one after the other, and returns how many they were. io.EOF says that none
// will come any more: the supervisor has ended, or what it has with this program.
func (a *Agent) Dispatch() (n int, err error) {
	sys.EventfdClear(a.bell)
	for ; ; n++ {
		raw, ok, err := a.inbox.Poll()
		if err != nil || !ok {
			return n, err
		}
		if err := answer(a.inbox, a.handler(aem.JobID(raw.Job)), &a.event, raw); err != nil {
			return n, err
		}
	}
}

// handler is who handles a job's events. It waits for a Register under way.
func (a *Agent) handler(id aem.JobID) Func {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.handlers[id]; f != nil {
		return a.around.call(f)
	}
	return func(context.Context, *Event) error {
		return Fail(fmt.Errorf("job %v has no handler in this program", id))
	}
}

// wake ends a wait of Keepalive.
func (a *Agent) wake() { sys.EventfdAdd(a.bell) } //nolint:errcheck // its counter cannot be full

// wait waits until Dispatch may have something to do, or wake.
func (a *Agent) wait() error {
	var ready [2]sys.EpollEvent
	_, err := sys.EpollWait(a.poll, ready[:], time.Duration(-1))
	return err
}
