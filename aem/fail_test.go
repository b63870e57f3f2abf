package aem

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("handle order: %w", err) }
	for _, c := range []struct {
		name    string
		err     error
		outcome Outcome
		delay   time.Duration
	}{
		{"nil", nil, Done, 0},
		{"any error", io.EOF, Retry, 0},
		{"Fail", Fail(io.EOF), Failed, 0},
		{"Fail, wrapped", wrap(Fail(io.EOF)), Failed, 0},
		{"Fail, joined", errors.Join(io.EOF, Fail(io.EOF)), Failed, 0},
		{"After", After(time.Second, io.EOF), Retry, time.Second},
		{"After, wrapped", wrap(After(time.Second, io.EOF)), Retry, time.Second},
		{"Fail around After", Fail(After(time.Second, io.EOF)), Failed, 0},
		{"After around Fail", After(time.Second, Fail(io.EOF)), Failed, 0},
		{"the outer After of two", After(time.Second, After(time.Hour, io.EOF)), Retry, time.Second},
	} {
		if outcome, delay := Judge(c.err); outcome != c.outcome || delay != c.delay {
			t.Errorf("%s: %v after %v, want %v after %v", c.name, outcome, delay, c.outcome, c.delay)
		}
		if c.err != nil && !errors.Is(c.err, io.EOF) {
			t.Errorf("%s: the cause is hidden", c.name)
		}
	}
}
