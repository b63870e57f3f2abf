package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aem-exec/aem-exec/handler"
)

// TestAroundInAProgram has a program that attached itself construct and destruct around each of its functions.
func TestAroundInAProgram_R088(t *testing.T) {
	w := serve(t, files)
	var told []string
	step := func(what string, err error) handler.Func {
		return func(_ context.Context, e *handler.Event) error {
			told = append(told, fmt.Sprintf("%s %s %d%s", what, e.Name, e.Attempt, e.Interrupted))
			return err
		}
	}
	a := w.attach("a", handler.Around(step("construct", nil), step("destruct", nil)))
	soon := table{"type": "timer", "after": "1ms", "start": true}
	for name, err := range map[string]error{"done": nil, "failed": handler.Fail(errors.New("no"))} {
		told = nil
		must(a.Register(t.Context(), name, soon, step("run", err)))
		w.handle(a, func() bool { return len(told) >= 3 })
		if want := []string{"construct " + name + " 1", "run " + name + " 1", "destruct " + name + " 1"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	}
}
