package procwatch

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/owner"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

const (
	bufferBytes = 4 << 20     // of the connector: about 40,000 events that are not read yet
	lookWait    = time.Second // until a file whose process is not there is read again
	reapWait    = time.Second // until a process that its parent does not wait for is told as ended unknown how
	answerMost  = 1 << 16     // events before the kernel's answer to our asking for them
	recordBytes = 1 << 10     // of one message; an event takes 76
)

// Watcher watches processes for any number of views. Its methods may be called from anywhere; only Close waits.
type Watcher struct {
	*owner.Loop[Exit]
	trouble   func(view uint64, err error)
	connector int   // 0: there is none
	why       error // there is none
	tracer    bool  // /proc tells us how any process ended

	// The goroutine's.
	views     map[uint64]*view
	processes map[int]*process // by pid
	over      []*process       // as the connector told: reported when nothing more is heard
	dying     []*process       // as pidfds told: until it is known how
	nextLook  int64
}

// New makes a watcher and starts it. From its goroutine it calls report with exits that are the callee's until it
// returns, and trouble with what is wrong with a view's file, nil when it is right again.
func New(report func([]Exit), trouble func(view uint64, err error)) (*Watcher, error) {
	w := prepare(report, trouble)
	return w, w.start(connect)
}

func prepare(report func([]Exit), trouble func(view uint64, err error)) *Watcher {
	return &Watcher{Loop: owner.NewLoop(report), trouble: trouble, tracer: canTrace(), views: map[uint64]*view{}, processes: map[int]*process{}}
}

func (w *Watcher) start(connect func() (int, error)) (err error) {
	if err = w.Open(); err == nil {
		if w.connector, w.why = connect(); w.why == nil {
			err = w.Poll(w.connector, sys.EPOLLIN, connectorData)
		}
	}
	if err != nil {
		w.close()
		return err
	}
	go w.run()
	return nil
}

// connectorData is what the connector is known by; a pidfd, by its pid.
const connectorData = 0

// Connected reports why programs and cgroups cannot be watched: the kernel tells us of single processes only.
func (w *Watcher) Connected() error { return w.why }

// Probe reports why there is no process connector for us.
func Probe() error {
	fd, err := connect()
	if err == nil {
		sys.Close(fd)
	}
	return err
}

// connect opens the connector and waits for its answer, which is there when the question has been sent.
func connect() (fd int, err error) {
	if fd, err = sys.ProcConnector(bufferBytes); err != nil {
		return 0, fmt.Errorf("open the process connector: %w", err)
	}
	var b [recordBytes]byte
	for range answerMost {
		n, err := sys.FromKernel(fd, b[:])
		if err != nil {
			sys.Close(fd)
			return 0, fmt.Errorf("ask the process connector: %w", err)
		}
		if r, _, err := cutRecord(b[:n]); err == nil && r.what == sys.PROC_EVENT_NONE {
			if r.status == 0 {
				return fd, nil
			}
			sys.Close(fd)
			return 0, fmt.Errorf("ask the process connector: %w", syscall.Errno(r.status))
		}
	}
	sys.Close(fd)
	return 0, errors.New("ask the process connector: it does not answer")
}

// Watch begins a view.
func (w *Watcher) Watch(id uint64, s Spec) { w.Ask(func() { w.begin(&view{id: id, spec: s}) }) }

// Unwatch ends a view. Exits that are on their way are still reported.
func (w *Watcher) Unwatch(id uint64) { w.Ask(func() { w.end(id) }) }

// Close ends the watcher; nothing is reported any more when it returns.
func (w *Watcher) Close() {
	<-w.Stop()
}

func (w *Watcher) close() {
	if w.connector > 0 {
		sys.Close(w.connector)
	}
	w.End()
}

// run is the goroutine.
func (w *Watcher) run() {
	defer w.close()
	defer w.letGo()
	// A process has to be looked at before it is over. The thread ends with the goroutine.
	runtime.LockOSThread()
	sys.SetNice(sys.NiceLeast) //nolint:errcheck // without permission it is as urgent as others
	for w.Turn(w.patience(), w.ready) {
		w.due(timing.Now())
		w.Flush()
	}
}

func (w *Watcher) ready(data uint64) {
	if data == connectorData {
		w.hear()
	} else {
		w.pidfdReady(int(data))
	}
}

// letGo closes what belongs to processes.
func (w *Watcher) letGo() {
	for _, p := range w.processes {
		w.unpoll(p)
	}
}

// patience is how long nothing is due: negative, for ever.
func (w *Watcher) patience() time.Duration {
	next := w.nextLook
	for _, p := range w.dying {
		if next == 0 || p.deadline < next {
			next = p.deadline
		}
	}
	if next == 0 {
		return -1
	}
	return max(0, time.Duration(next-timing.Now()))
}

// due does what has waited for its time.
func (w *Watcher) due(now int64) {
	for _, p := range slices.Clone(w.dying) {
		if p.deadline <= now {
			w.gone(p, Exit{How: Unknown, Code: -1})
		}
	}
	if w.nextLook != 0 && w.nextLook <= now {
		w.nextLook = 0
		for _, v := range w.views {
			if v.spec.PIDFile != "" && v.process == nil {
				w.look(v)
			}
		}
	}
}
