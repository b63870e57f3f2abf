package executor

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

// patience is how long a test waits for what must come.
var patience = aemtest.Slow(20 * time.Second)

// desk is the loop that pools belong to, and what they told it.
type desk struct {
	t         *testing.T
	posted    chan func()
	started   []*aem.Activation
	completed []completed
}

type completed struct {
	a *aem.Activation
	aem.Completion
}

func newDesk(t *testing.T) *desk { return &desk{t: t, posted: make(chan func(), 1024)} }

func (d *desk) Post(f func())                   { d.posted <- f }
func (d *desk) Born(int)                        {}
func (d *desk) Reaped(int)                      {}
func (d *desk) Wake(*Pool)                      {}
func (d *desk) AgentTrouble(*Pool, error, bool) {}
func (d *desk) AgentReady(*Pool)                {}
func (d *desk) Expired(*Pool, *aem.Activation)  {}
func (d *desk) Reached(*Pool, string, string)   {}
func (d *desk) Started(a *aem.Activation)       { d.started = append(d.started, a) }

func (d *desk) Completed(_ *Pool, a *aem.Activation, c *aem.Completion) {
	d.completed = append(d.completed, completed{a, *c})
}

// run runs what waits and finds an agent.
func (d *desk) run(p *Pool) {
	for _, ok := p.Head(); ok; _, ok = p.Head() {
		p.Run(Mark{})
	}
}

// until takes what is posted, and runs what waits, until ok.
func (d *desk) until(p *Pool, what string, ok func() bool) {
	d.t.Helper()
	deadline := time.After(patience)
	for d.run(p); !ok(); d.run(p) {
		select {
		case f := <-d.posted:
			f()
		case <-deadline:
			d.t.Fatalf("not %s", what)
		}
	}
}

// activation is one of app a's event e, with data.
func activation(data string, facts ...aem.Fact) *aem.Activation {
	e := &aem.Event{ID: 42, Type: "topic", Time: time.Unix(1, 5).UTC(), Count: 1, FD: -1, Facts: facts}
	if data != "" {
		e.Data = []byte(data)
	}
	return &aem.Activation{Event: e, Name: "e", Priority: aem.PriorityDefault}
}

// record is one line of a log.
type record map[string]any

// logBook keeps what is logged.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// records are what was logged so far, in that order.
func (b *logBook) records(t *testing.T) (all []record) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for decoder := json.NewDecoder(bytes.NewReader(b.text.Bytes())); decoder.More(); {
		var r record
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}
