package source

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

// patience is how long a test waits for what must come.
var patience = aemtest.Slow(20 * time.Second)

// desk is where a source under test reports to, and the turns of the loop around it.
type desk struct {
	poller   *Poller
	alarms   timing.Alarms
	lastID   aem.EventID
	detected []detected
	troubles []error
	then     func(detected) // called inside Detected

	bell   int // eventfd, rung by post
	mu     sync.Mutex
	posted []func()
}

// post has f called in the next turn.
func (d *desk) post(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.posted = append(d.posted, f)
	sys.EventfdAdd(d.bell)
}

// calls calls what was posted.
func (d *desk) calls(uint32) {
	sys.EventfdClear(d.bell)
	d.mu.Lock()
	posted := d.posted
	d.posted = nil
	d.mu.Unlock()
	for _, f := range posted {
		f()
	}
}

type detected struct {
	job aem.JobID
	*aem.Event
}

func (d *desk) NewEvent(typ string) *aem.Event {
	d.lastID++
	return &aem.Event{ID: d.lastID, Type: typ, Time: time.Now(), Count: 1, FD: -1}
}

func (d *desk) Detected(id aem.JobID, e *aem.Event) {
	d.detected = append(d.detected, detected{id, e})
	if d.then != nil {
		d.then(detected{id, e})
	}
}

func (d *desk) Room(aem.JobID) bool { return true }

func (d *desk) Trouble(_ aem.JobID, err error) { d.troubles = append(d.troubles, err) }

// newDesk gives a source of the type; what it detected is closed with the test.
func newDesk(t *testing.T, typ string) (*desk, Source) {
	t.Helper()
	row, ok := TypeNamed(typ)
	if !ok {
		t.Fatalf("there is no type %s", typ)
	}
	return deskOf(t, row)
}

// deskOf is newDesk for a type that need not be in the table.
func deskOf(t *testing.T, typ Type) (*desk, Source) {
	t.Helper()
	poller, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{poller: poller}
	if d.bell, err = sys.Eventfd(); err != nil {
		t.Fatal(err)
	}
	if _, err = poller.Add(d.bell, sys.EPOLLIN, WatcherFunc(d.calls)); err != nil {
		t.Fatal(err)
	}
	s, err := typ.open(Env{Poller: poller, Alarms: &d.alarms, Sink: d, Log: slog.New(slog.DiscardHandler), Post: d.post})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		d.close()
		sys.Close(d.bell)
		poller.Close()
	})
	return d, s
}

// close closes the connections that were detected.
func (d *desk) close() {
	for _, e := range d.detected {
		if e.FD >= 0 {
			sys.Close(e.FD)
			e.FD = -1
		}
	}
}

// turn is one turn of the loop, which waits at most so long.
func (d *desk) turn(t *testing.T, longest time.Duration) {
	t.Helper()
	if at, ok := d.alarms.Next(); ok {
		longest = min(longest, max(0, time.Duration(at-timing.Now())))
	}
	if err := d.poller.Wait(longest); err != nil {
		t.Fatal(err)
	}
	d.alarms.Run(timing.Now())
}

// until turns until ok.
func (d *desk) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s: %d detected, troubles %v", what, len(d.detected), d.troubles)
		}
		d.turn(t, time.Second)
	}
}

// events turns until n events are detected.
func (d *desk) events(t *testing.T, n int) {
	t.Helper()
	d.until(t, "detected", func() bool { return len(d.detected) >= n })
	if len(d.detected) != n {
		t.Fatalf("detected %d, want %d", len(d.detected), n)
	}
}

// quiet turns for a while in which nothing may be detected.
func (d *desk) quiet(t *testing.T, long time.Duration) {
	t.Helper()
	n := len(d.detected)
	for end := time.Now().Add(long); time.Now().Before(end); {
		d.turn(t, time.Until(end))
	}
	if len(d.detected) != n {
		t.Fatalf("%d events were detected", len(d.detected)-n)
	}
}
