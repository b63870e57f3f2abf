package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// told collects what events of the supervisor's own types bring.
type told struct {
	mu   sync.Mutex
	said []string
}

// function is a callback that notes an event's facts.
func (n *told) function(_ context.Context, e *aem.Event) error {
	text := e.Type
	for _, f := range e.Facts {
		text += " " + f.Name + "=" + f.Text()
	}
	row, _ := source.TypeNamed(e.Type)
	for i, f := range row.Facts {
		if i >= len(e.Facts) || e.Facts[i].Name != f.Name || e.Facts[i].Kind != f.Kind {
			text += " without " + f.Name
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, fmt.Sprintf("%s count=%d", text, e.Count))
	return nil
}

func (n *told) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.said...)
}

// await waits until n events have been told, and a little longer for one too many.
func (n *told) await(t *testing.T, count int) []string {
	t.Helper()
	for deadline := time.Now().Add(patience); len(n.all()) < count; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("told %q, want %d", n.all(), count)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if all := n.all(); len(all) != count {
		t.Errorf("told %q, want %d", all, count)
	}
	return n.all()
}

// watcher is an app whose callback is told of the apps that a pattern means.
func (n *told) watcher(pattern string, kinds ...string) (App, func(*Options)) {
	watch := testApp("watch", []executor.Spec{builtin("note", "note", nil)})
	for i, kind := range kinds {
		watch.Events = append(watch.Events, event(fmt.Sprint("e", i), source.Notice{Kind: kind, Apps: []string{pattern}}, "note"))
	}
	return watch, func(o *Options) { o.Functions = map[string]executor.Function{"note": n.function} }
}

func TestFailedEventsAreTold(t *testing.T) {
	var n told
	watch, functions := n.watcher("*", "supervisor.failed")
	fail := role(t, "fail")
	bad := testApp("a", []executor.Spec{fail}, event("t", source.Topic{Name: "a/t"}, "h"),
		event("of", source.Notice{Kind: "supervisor.failed", Apps: []string{"a"}}, "h")) // whose own failure is not told
	r := startRun(t, functions, watch, bad)
	r.emit("a/t", "")
	r.until("a/of", "failed", func(c aem.Counts) bool { return c.Failed == 1 })
	letters := r.dead.match(func(l *letter) bool { return l.Job == "a/t" })
	want := fmt.Sprintf("supervisor.failed subject=a job=a/t failed=%v reason=handler attempts=1 count=1", letters[0].ID)
	if said := n.await(t, 1); said[0] != want {
		t.Errorf("told %q, want %q", said, want)
	}
}

func TestAgentsThatCannotBeMadeAreTold(t *testing.T) {
	var n told
	watch, functions := n.watcher("a", "supervisor.agent")
	flag := filepath.Join(t.TempDir(), "there")
	broken := handler("h", "/bin/sh", "-c", "test -e "+flag+" || exit 127")
	broken.Handover = executor.None
	own := broken
	own.Name = "own"
	a := testApp("a", []executor.Spec{broken, own}, event("t", source.Topic{Name: "a/t"}, "h"),
		event("of", source.Notice{Kind: "supervisor.agent", Apps: []string{"a"}}, "own")) // whose own trouble is not told
	r := startRun(t, functions, watch, a)
	r.publishAll("a/t", 3)
	down := n.await(t, 1)
	if !strings.HasPrefix(down[0], "supervisor.agent subject=a agent=h state=down error=handler h: exit=127") {
		t.Errorf("told %q", down)
	}
	if err := os.WriteFile(flag, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 3 })
	if said := n.await(t, 2); said[1] != "supervisor.agent subject=a agent=h state=up error= count=1" {
		t.Errorf("told %q", said)
	}
	r.until("a/of", "done", func(c aem.Counts) bool { return c.Done == 2 })
}

// TestCapsulesThatAreThereAgainAreTold needs no event.
func TestCapsulesThatAreThereAgainAreTold(t *testing.T) {
	var n told
	watch, functions := n.watcher("a", "supervisor.agent")
	flag := filepath.Join(t.TempDir(), "there")
	h := role(t, "done")
	h.Life, h.Size = executor.Capsule, 1
	h.Exec = append([]string{"/bin/sh", "-c", "test -e " + flag + ` && exec "$0"`}, h.Exec...)
	startRun(t, functions, watch, testApp("a", []executor.Spec{h}, event("t", source.Topic{Name: "a/t"}, "h")))
	n.await(t, 1)
	if err := os.WriteFile(flag, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if said := n.await(t, 2); !strings.Contains(said[0], "state=down") || !strings.Contains(said[1], "state=up") {
		t.Errorf("told %q", said)
	}
}
