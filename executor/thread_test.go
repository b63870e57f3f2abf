package executor

import (
	"context"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
)

// TestThreadsRunAtOnceAsManyAsTheyMay_R202 has more activations than threads: each has an OS thread of its own, and
// the rest wait until one is free.
func TestThreadsRunAtOnceAsManyAsTheyMay_R202(t *testing.T) {
	const limit, many = 3, 10
	begun, proceed := make(chan int, many), make(chan struct{})
	w := &Workplace{Functions: map[string]Function{"f": func(context.Context, *aem.Event) error {
		begun <- syscall.Gettid()
		<-proceed
		return nil
	}}}
	d, p := openFunction(t, w, Spec{Agent: Thread, Call: "f", Concurrency: limit})
	for range many {
		p.Push(activation(""))
	}
	d.run(p)
	threads := map[int]bool{}
	for range limit {
		threads[<-begun] = true
	}
	if len(threads) != limit || threads[syscall.Gettid()] || p.Running() != limit || p.Waiting() != many-limit {
		t.Errorf("threads %v, %d run, %d wait", threads, p.Running(), p.Waiting())
	}
	for done := 1; done <= many; done++ {
		proceed <- struct{}{}
		d.until(p, "completed", func() bool { return len(d.completed) == done })
		if want := min(limit, many-done); p.Running() != want {
			t.Errorf("after %d: %d run, want %d", done, p.Running(), want)
		}
		if done <= many-limit {
			if tid := <-begun; !threads[tid] {
				t.Errorf("thread %d was made beyond the limit", tid)
			}
		}
	}
	if len(d.started) != many {
		t.Errorf("%d attempts began", len(d.started))
	}
}

// TestBusyThreadFinishesAfterTheStop: it cannot be ended from outside, so it is waited for.
func TestBusyThreadFinishesAfterTheStop(t *testing.T) {
	proceed := make(chan struct{})
	w := &Workplace{Functions: map[string]Function{"f": func(context.Context, *aem.Event) error {
		<-proceed
		return nil
	}}}
	d, p := openFunction(t, w, Spec{Agent: Thread, Call: "f", Concurrency: 2})
	p.Push(activation(""))
	d.run(p)
	p.Kill()
	if p.Ended() {
		t.Error("it ended while its thread was busy")
	}
	close(proceed)
	d.until(p, "ended", p.Ended)
	if len(d.completed) != 1 || d.completed[0].Outcome != aem.Done {
		t.Errorf("completed %v", d.completed)
	}
}
