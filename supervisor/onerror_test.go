package supervisor

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// asked is an app that is asked about its errors, and what it was asked.
type asked struct {
	*run
	questions chan string
}

// errorApp is app a, whose errors go to a callback that replies with an answer.
func errorApp(t *testing.T, answer string, usual Decision, handlers []executor.Spec, events ...Registration) *asked {
	q := make(chan string, 64)
	decide := builtin("decide", "decide", nil)
	onError := event("on_error", source.Notice{Kind: "supervisor.error", Apps: []string{"a"}}, "decide")
	a := testApp("a", append(handlers, decide), append(events, onError)...)
	a.OnError = usual
	return &asked{startRun(t, func(o *Options) {
		o.Functions = map[string]executor.Function{"decide": func(_ context.Context, e *aem.Event) error {
			said := ""
			for i := range e.Facts {
				said += e.Facts[i].Name + "=" + e.Facts[i].Text() + " "
			}
			q <- said
			e.Reply([]byte(answer))
			return nil
		}}
	}, a), q}
}

// question is the next that was asked, with some words in it.
func (a *asked) question(words ...string) {
	a.t.Helper()
	select {
	case said := <-a.questions:
		for _, w := range words {
			if !strings.Contains(said, w) {
				a.t.Errorf("asked with %q, want %s in it", said, w)
			}
		}
	case <-time.After(patience):
		a.t.Fatal("nothing was asked")
	}
}

func (a *asked) state(job string) (state aem.State) {
	a.ask(func() { state = a.jobNamed(job).state() })
	return state
}

// unfit are the ways in which an event cannot be given to its handler.
func unfit(t *testing.T) map[string]struct {
	handler executor.Spec
	event   func(*aem.Event)
	says    string
} {
	large := role(t, "upper")
	large.Life, large.Size, large.ArenaSize, large.ArenaMax = executor.Resident, 1, 16<<10, 16<<10
	cold := shell("exit 0")
	missing := handler("h", "/bin/echo", "{peer}")
	missing.Handover = executor.None
	return map[string]struct {
		handler executor.Spec
		event   func(*aem.Event)
		says    string
	}{
		"data beyond the arena": {large, func(e *aem.Event) { e.Data = make([]byte, 64<<10) }, "65536 bytes of data do not fit an arena of at most 16384 (arena.max)"},
		"a fact with NUL":       {cold, func(e *aem.Event) { e.Add(text("peer", "a\x00b")) }, "fact peer has a NUL byte"},
		"a fact that is long":   {cold, func(e *aem.Event) { e.Add(text("peer", strings.Repeat("x", aem.MaxFactBytes+1))) }, "fact peer is longer than 4096 bytes"},
		"a fact that is not":    {missing, func(*aem.Event) {}, "the event has no such fact"},
	}
}

// detect has an event of topic a/t be detected.
func (a *asked) detect(change func(*aem.Event)) {
	a.ask(func() {
		e := a.NewEvent("topic")
		change(e)
		a.Detected(a.jobNamed("a/t").id, e)
	})
}

// TestAppDecidesAboutEventsThatDoNotFit_R050_R095 goes through each way and each answer.
func TestAppDecidesAboutEventsThatDoNotFit_R050_R095(t *testing.T) {
	for name, c := range unfit(t) {
		for _, answer := range []struct {
			says      string
			usual     Decision
			questions int
			state     aem.State
		}{
			{"skip", StopError, 1, aem.Armed},
			{"stop\n", SkipError, 1, aem.Stopped},
			{"retry", SkipError, 3, aem.Armed}, // with two retries
			{"nonsense", StopError, 1, aem.Stopped},
			{"", SkipError, 1, aem.Armed},
		} {
			t.Run(name+" "+fmt.Sprintf("%q", answer.says), func(t *testing.T) {
				h := c.handler
				h.Retries = 2
				a := errorApp(t, answer.says, answer.usual, []executor.Spec{h}, event("t", source.Topic{Name: "a/t"}, "h"))
				a.detect(c.event)
				for range answer.questions {
					a.question("subject=a", "job=a/t", "what=data", c.says, "lost=0")
				}
				a.until("a/t", "failed", func(c aem.Counts) bool { return c.Failed == 1 && c.Waiting+c.Running == 0 })
				if got := a.state("a/t"); got != answer.state {
					t.Errorf("the job is %v, want %v", got, answer.state)
				}
				a.ask(func() {
					if n := len(a.dead.match(func(*letter) bool { return true })); n != 1 || len(a.questions) != 0 {
						t.Errorf("%d dead letters, %d questions more", n, len(a.questions))
					}
				})
			})
		}
	}
}

// TestAppDecidesWhenMemoryIsMissing_R050 has a handler whose allocator refuses: without a decision its event is tried again.
func TestAppDecidesWhenMemoryIsMissing_R050(t *testing.T) {
	for _, c := range []struct {
		answer    string
		usual     Decision
		questions int
	}{{"skip", "", 1}, {"stop", "", 1}, {"retry", SkipError, 3}, {"", "", 3}, {"", SkipError, 1}} {
		t.Run(c.answer+" "+string(c.usual), func(t *testing.T) {
			h := role(t, "nowhere")
			h.Life, h.Size, h.Alloc, h.Retries = executor.Resident, 1, executor.AppAlloc, 2
			a := errorApp(t, c.answer, c.usual, []executor.Spec{h}, event("t", source.Topic{Name: "a/t"}, "h"))
			a.ask(func() { a.publish("a/t", []byte("text")) })
			for range c.questions {
				a.question("what=memory", "its allocator has no room for 4 bytes of data")
			}
			a.until("a/t", "failed", func(c aem.Counts) bool { return c.Failed == 1 })
			if got := a.state("a/t"); (got == aem.Stopped) != (c.answer == "stop") || len(a.questions) != 0 {
				t.Errorf("the job is %v, %d questions more", got, len(a.questions))
			}
		})
	}
}

// TestDefaultDecidesWhereNobodyIsAsked_R050 has no job for errors, one that is stopped, and one that is asked about its own.
func TestDefaultDecidesWhereNobodyIsAsked_R050(t *testing.T) {
	h := shell("exit 0")
	a := testApp("a", []executor.Spec{h}, event("t", source.Topic{Name: "a/t"}, "h"))
	a.OnError = StopError
	alone := &asked{run: startRun(t, nil, a)}
	stopped := errorApp(t, "skip", StopError, []executor.Spec{h}, event("t", source.Topic{Name: "a/t"}, "h"))
	stopped.ask(func() { stopped.Supervisor.stop(stopped.jobNamed("a/on_error").id) })
	for _, a := range []*asked{alone, stopped} {
		a.detect(unfit(t)["a fact with NUL"].event)
		a.until("a/t", "failed", func(c aem.Counts) bool { return c.Failed == 1 })
		if got := a.state("a/t"); got != aem.Stopped {
			t.Errorf("the job is %v", got)
		}
	}
}

// TestCleanedEventIsNotDecidedAbout sheds an event while its app is asked about it.
func TestCleanedEventIsNotDecidedAbout(t *testing.T) {
	a := errorApp(t, "stop", SkipError, []executor.Spec{shell("exit 0")}, event("t", source.Topic{Name: "a/t"}, "h"))
	a.ask(func() {
		e := a.NewEvent("topic")
		unfit(t)["a fact with NUL"].event(e)
		a.Detected(a.jobNamed("a/t").id, e)
	})
	for c := a.counts("a/t"); c.Shed == 0 && c.Failed == 0; c = a.counts("a/t") {
		a.ask(func() {
			if len(a.retries) > 0 { // it waits for the decision
				a.clean(a.jobNamed("a/t"))
			}
		})
	}
	if c := a.counts("a/t"); c.Shed == 1 && a.state("a/t") != aem.Armed {
		t.Errorf("the job is %v: %+v", a.state("a/t"), c)
	}
}

// TestAppDecidesAboutDetection_R095 has a listener whose address is taken.
func TestAppDecidesAboutDetection_R095(t *testing.T) {
	for answer, want := range map[string]aem.State{"stop": aem.Stopped, "retry": aem.Failing} {
		t.Run(answer, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			addr, err := source.ParseAddress("tcp://" + l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			cat := handler("h", "/bin/cat")
			cat.Handover = executor.Socket
			a := errorApp(t, answer, SkipError, []executor.Spec{cat}, event("web", source.Accept{Listen: []source.Address{addr}}, "h"))
			a.question("job=a/web", "what=detection", "address already in use", "failed= ")
			for deadline := time.Now().Add(patience); a.state("a/web") != want; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the job is %v, want %v", a.state("a/web"), want)
				}
			}
		})
	}
}

// TestAppDecidesAboutLostEvents_R095 has an event tell that others were lost: it is handled, and the job is stopped.
func TestAppDecidesAboutLostEvents_R095(t *testing.T) {
	a := errorApp(t, "stop", SkipError, []executor.Spec{shell("exit 0")}, event("t", source.Topic{Name: "a/t"}, "h"))
	a.detect(func(e *aem.Event) { e.Lost = 7 })
	a.question("job=a/t", "what=lost", "lost=7")
	a.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 1 })
	for deadline := time.Now().Add(patience); a.state("a/t") != aem.Stopped; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the job is %v", a.state("a/t"))
		}
	}
}
