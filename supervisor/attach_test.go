package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/executor"
	hd "github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/source"
)

// anyTables takes what a program says for names of topics: "t" is topic a/t.
type anyTables struct{}

func (anyTables) Handler(name string, _ []byte) (executor.Spec, error) {
	h := handler(name)
	h.Life, h.Size = executor.Attached, 0
	return h, nil
}

func (anyTables) Event(app, name string, _ []byte, _ bool) (Registration, error) {
	e := event(name, source.Topic{Name: app + "/" + name})
	e.Start = false
	return e, nil
}

// TestBooksOfAProgramThatIsGone: what it had, what it had answered, and what waited for it, for another attempt too, is in
// its app's books, and nothing of it is left anywhere.
func TestBooksOfAProgramThatIsGone_R092(t *testing.T) {
	app := testApp("a", nil)
	app.Limits.Jobs = 10_000
	r := startRun(t, func(o *Options) { o.Tables = anyTables{} }, app)
	const inFlight = 3
	stuck, let := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- func() error {
			agent, err := hd.Attach(context.Background(), "a", hd.RuntimeDir(r.options.RuntimeDir), hd.InFlight(inFlight))
			if err != nil {
				return err
			}
			defer agent.Close()
			n := 0
			ids, err := agent.RegisterAll(context.Background(), hd.Registration{Name: "t", Count: 5000}, hd.Registration{Name: "u", Do: func(_ context.Context, e *hd.Event) error {
				switch n++; n {
				case 1:
					return nil
				case 2:
					return hd.After(time.Hour, errors.New("later"))
				case 3:
					close(stuck)
				}
				<-let
				return nil
			}})
			if err == nil {
				err = agent.Start(context.Background(), ids[1]...)
			}
			for err == nil {
				if _, err = agent.Dispatch(); err == nil {
					time.Sleep(time.Millisecond)
				}
			}
			return err
		}()
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		there := 0
		r.ask(func() { there = len(r.topics.Subscribers("a/u")) })
		if there == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the program never starts its job")
		}
	}
	const events = 12
	for range events {
		r.ask(func() { r.publish("a/u", nil) })
	}
	<-stuck
	r.ask(func() {
		for _, at := range r.tokens {
			at.pool.Detach(errors.New("it is not wanted any more"))
		}
	})
	close(let)
	if err := <-ended; err == nil {
		t.Error("the program goes on")
	}
	for deadline := time.Now().Add(patience); !strings.Contains(r.logs.String(), "it is not wanted any more"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is never detached")
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		pools := 1
		r.ask(func() { pools = len(r.pools) })
		if pools == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("its pool is never forgotten")
		}
	}
	r.ask(func() {
		a := r.apps[0]
		if c := a.removed; !c.Balanced() || c.Detected != events || c.Done+c.Shed != events || c.Done < 1 || c.Done > 1+inFlight || c.Running+c.Waiting != 0 {
			t.Errorf("books %+v", c)
		}
		for _, g := range a.gauges.all() {
			if g.Used != 0 {
				t.Errorf("%s = %d is in use", g.Name, g.Used)
			}
		}
		if r.jobs.count() != 0 || len(r.owners) != 0 || len(r.tokens) != 0 || len(r.retries) != 0 || len(r.specs) != 0 || len(r.down) != 0 {
			t.Error("something of it is left")
		}
		if slices.ContainsFunc(r.jobs.registrations, func(reg *registration) bool { return reg != nil }) {
			t.Error("a registration of it is left")
		}
	})
}
