package attach

import (
	"context"
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/handler"
)

// TestReloadAndPrograms_R168 reloads a file under programs that attached themselves to two of its apps: one whose app goes on,
// by other rules, notices nothing, and one whose app is gone loses what it had, and may come back with it.
func TestReloadAndPrograms_R168(t *testing.T) {
	const both = "[app.a.limits]\njobs = 10\n[app.b.event.t]\ntype = \"topic\"\nhandler = { agent = \"callback\", call = \"log\" }\n"
	const one = "[app.a.limits]\njobs = 20\n"
	w := serve(t, both)
	ctx := t.Context()
	heard := 0
	stays, goes := w.attach("a"), w.attach("b")
	for _, a := range []*handler.Agent{stays, goes} {
		id, err := a.Register(ctx, "news", table{"type": "topic", "topic": "news"}, func(context.Context, *handler.Event) error { heard++; return nil })
		if err == nil {
			err = a.Start(ctx, id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Reload(w.options(one)); err != nil {
		t.Fatal(err)
	}
	var err error
	w.await("the one whose app is gone is told", func() bool { _, err = goes.Dispatch(); return err != nil })
	if !errors.Is(err, io.EOF) {
		t.Errorf("it is told %v", err)
	}
	w.await("its jobs are gone", func() bool { return len(w.jobs()) == 1 })
	if _, err := handler.Attach(ctx, "b", handler.RuntimeDir(w.dir)); errno(err) != syscall.ENOENT {
		t.Errorf("it comes back to an app that is gone: %v", err)
	}
	emitted := make(chan int)
	go func() { emitted <- len(w.emit("a/news", "x")) }()
	w.handle(stays, func() bool { return heard == 1 })
	if n := <-emitted; n != 1 {
		t.Errorf("%d jobs heard of it", n)
	}
	w.await("the app can come back", func() bool { _, err := w.Reload(w.options(both)); return err == nil })
	w.attach("b")
}
