package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/directcopy"
)

// Func handles one event. Its context ends at the event's deadline, if it has one, and not with SIGTERM, which lets the
// event be finished.
type Func func(ctx context.Context, e *Event) error

// Fail marks err as final: the event is failed at once and not tried again.
func Fail(err error) error { return aem.Fail(err) }

// After marks err as passing: the event is tried again after d.
func After(d time.Duration, err error) error { return aem.After(d, err) }

// Option changes how Run works.
type Option func(*options)

type options struct {
	inFlight int
	memory   *Memory
	around   around

	// Of programs that attach themselves.
	dir, token string
	settings   map[string]any
}

// InFlight lets the supervisor write up to n events, 1 to 64, ahead of the one that is handled. They are still handled
// one by one. The default is 1.
func InFlight(n int) Option { return func(o *options) { o.inFlight = n } }

// Memory is an application's own scheme of allocation, for handlers whose file says arena.alloc = "app".
type Memory = directcopy.Memory

// InMemory has m say where each event lands. The functions of m run on the thread that handles events, between two events.
// Without m.Free the data of an event stays where it is after it was handled, until m.Alloc gives the place out again.
func InMemory(m *Memory) Option { return func(o *options) { o.memory = m } }

// Run handles events with f, one at a time and on one thread, until SIGTERM, the supervisor's word or its end; then it
// returns after the current event. If the process was not started by aem-exec it says so and exits with status 2, and
// with status 1 if the supervisor cannot be understood.
func Run(f Func, opts ...Option) {
	err := run(f, opts)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, errNotStarted) || errors.Is(err, errZygote) {
		os.Exit(2)
	}
	os.Exit(1)
}

var (
	errNotStarted = errors.New("not started by aem-exec: AEM_ABI is not 1 (name this program in a handler's exec, with handover = \"direct\")")
	errNoMemory   = errors.New(`arena.alloc is "app": the program has to say where events land (handler.InMemory)`)
	errMemory     = errors.New(`the program says itself where events land (handler.InMemory): its handler needs arena.alloc = "app"`)
)

// errZygote: fork copies the thread that calls it and no other, and Go's runtime needs them all.
var errZygote = errors.New("life = \"zygote\" copies the process with fork, which no Go program survives: use resident or capsule")

// defaultArena is the arena's size where the supervisor wishes none.
const defaultArena = 1 << 20

func run(f Func, opts []Option) error {
	if os.Getenv("AEM_ABI") != "1" {
		return errNotStarted
	}
	size, err := strconv.Atoi(os.Getenv("AEM_ARENA_SIZE"))
	if err != nil {
		size = defaultArena
	}
	if os.Getenv("AEM_LIFE") == "zygote" {
		return errZygote
	}
	control.KeepGiven()
	os.Unsetenv("AEM_ABI") //nolint:errcheck // it refuses impossible names only. Programs that f starts are not started by aem-exec
	o, err := choose(opts)
	if err != nil {
		return err
	}

	// One thread: it is the one that the hello names and that a boost acts on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const first = directcopy.FirstDescriptor
	fds := []int{first, first + 1, first + 2, first + 3}
	if os.Getenv("AEM_COPY") == "shared" {
		fds = append(fds, first+4)
	}
	inbox, err := directcopy.Attach(fds, size, o.memory)
	if err != nil {
		return err
	}
	defer inbox.Close()
	defer stopOnTerm(inbox)()
	if err = confine(inbox); err != nil {
		return err
	}
	if o.around.destruct != nil {
		inbox.Destructs()
	}
	if err = inbox.Hello(o.inFlight); err == nil {
		err = loop(inbox, o.around.call(f))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// choose puts options together, and judges them by what the supervisor asks for.
func choose(opts []Option) (options, error) {
	o := options{inFlight: 1}
	for _, opt := range opts {
		opt(&o)
	}
	switch asked := os.Getenv("AEM_ALLOC") == "app"; {
	case asked && o.memory == nil:
		return o, errNoMemory
	case !asked && o.memory != nil:
		return o, errMemory
	}
	return o, nil
}

// stopOnTerm stops the inbox at SIGTERM, until the function that it returns is called.
func stopOnTerm(inbox *directcopy.Inbox) (end func()) {
	term, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		defer close(done)
		if _, ok := <-term; ok {
			inbox.Stop()
		}
	}()
	return func() {
		signal.Stop(term)
		close(term)
		<-done
	}
}

// loop handles events until there are no more, which is io.EOF.
func loop(inbox *directcopy.Inbox, f Func) error {
	var e Event
	for {
		raw, err := inbox.Take()
		if err != nil {
			return err
		}
		if err := answer(inbox, f, &e, raw); err != nil {
			return err
		}
	}
}

// answer handles one event.
func answer(inbox *directcopy.Inbox, f Func, e *Event, raw directcopy.Event) error {
	e.fill(raw)
	failure := call(f, e)
	e.end()
	outcome, delay := aem.Judge(failure)
	answer := directcopy.Answer{Number: raw.Number, Outcome: outcomes[outcome], Delay: delay}
	if failure != nil {
		answer.Text = failure.Error()
	} else {
		answer.Reply = e.reply
	}
	return inbox.Answer(answer)
}

// outcomes are the answers that a handler's error can mean.
var outcomes = map[aem.Outcome]directcopy.Outcome{
	aem.Done:   directcopy.Done,
	aem.Retry:  directcopy.Retry,
	aem.Failed: directcopy.Fail,
}

// call runs f with the event's deadline.
func call(f Func, e *Event) error {
	if e.raw.Deadline == 0 {
		return f(context.Background(), e)
	}
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, e.raw.Deadline))
	defer cancel()
	return f(ctx, e)
}
