package supervisor

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// TestFloodLeavesOthersTheirTurns_R008 has one app with thousands of activations waiting when another comes with some of
// the same priority: it waits for a turn, and gets every other one from then on. A third one's, which are more urgent, come
// before both, and each app's keep their order.
func TestFloodLeavesOthersTheirTurns_R008(t *testing.T) {
	type began struct {
		app string
		id  aem.EventID
	}
	var order []began // the loop's
	functions := func(o *Options) { o.Functions = map[string]executor.Function{} }
	var apps []App
	for name, p := range map[string]aem.Priority{"greedy": 10, "meek": 10, "urgent": 11} {
		e := event("t", source.Topic{Name: name + "/t"}, "h")
		e.Priority = p
		a := testApp(name, []executor.Spec{builtin("h", name, nil)}, e)
		a.Limits.Activations = 10_000
		apps = append(apps, a)
		before := functions
		functions = func(o *Options) {
			before(o)
			o.Functions[name] = func(_ context.Context, e *aem.Event) error {
				order = append(order, began{name, e.ID})
				return nil
			}
		}
	}
	r := startRun(t, functions, apps...)
	const flood, some = 5000, 200
	r.ask(func() {
		for range flood {
			r.publish("greedy/t", nil)
		}
		for range some {
			r.publish("meek/t", nil)
			r.publish("urgent/t", nil)
		}
	})
	r.until("greedy/t", "done", func(c aem.Counts) bool { return c.Done == flood })
	count, last := map[string]int{}, map[string]aem.EventID{}
	for i, b := range order {
		if b.id < last[b.app] {
			t.Fatalf("%s begins event %d after %d", b.app, b.id, last[b.app])
		}
		last[b.app] = b.id
		count[b.app]++
		switch greedy, meek := count["greedy"], count["meek"]; {
		case i < some && b.app != "urgent":
			t.Fatalf("%s begins before what is more urgent", b.app)
		case meek < some && greedy > meek+2*turnLength:
			t.Fatalf("%d of the app that floods have begun, and %d of the other", greedy, meek)
		}
	}
	if len(order) != flood+2*some {
		t.Errorf("%d began", len(order))
	}
}

// TestWhoRestsSavesOneTurnUp lets one app run alone for long, and then another beside it.
func TestWhoRestsSavesOneTurnUp(t *testing.T) {
	log := builtin("h", "log", nil)
	r := startRun(t, nil, testApp("a", []executor.Spec{log}), testApp("b", []executor.Spec{log}))
	r.ask(func() {
		a, b := r.pools[0], r.pools[1]
		for range 1000 {
			r.turns.moveOn(a, 10)
		}
		before, behind := r.turns.of(a, 10), r.turns.of(b, 10)
		for range 5000 {
			r.turns.moveOn(a, 11) // another priority's time is another time
		}
		if before != 1000 || behind != 999-turnLength || r.turns.of(a, 10) != before || r.turns.of(b, 10) != behind {
			t.Errorf("they are at %d and %d, later at %d and %d", before, behind, r.turns.of(a, 10), r.turns.of(b, 10))
		}
		for range 10 {
			r.turns.moveOn(b, 10)
		}
		if got := r.turns.of(b, 10); got != behind+10 {
			t.Errorf("ten later the other is at %d", got)
		}
	})
}

// TestPlacesAreAnOrder: no two different places are both before each other, and none is before itself.
func TestPlacesAreAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) place {
			return place{aem.Priority(rapid.IntRange(0, 2).Draw(t, name)), rapid.Uint64Range(0, 2).Draw(t, name), rapid.Uint64Range(0, 2).Draw(t, name)}
		}
		p, q, o := draw("p"), draw("q"), draw("o")
		if p.before(p) || p != q && p.before(q) == q.before(p) {
			t.Fatalf("%v and %v", p, q)
		}
		if p.before(q) && q.before(o) && !p.before(o) {
			t.Fatalf("%v, %v and %v", p, q, o)
		}
	})
}
