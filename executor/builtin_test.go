package executor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
)

func TestLog(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    map[string]any
		level   string
		message string
		fails   string // part of the error of running
	}{
		{"nothing is said", nil, "INFO", "topic", ""},
		{"facts", map[string]any{"message": "{count} from {topic} for {app}/{event}: {{}"}, "INFO", "7 from a/t for app/e: {}", ""},
		{"level", map[string]any{"level": "warn", "message": "x"}, "WARN", "x", ""},
		{"a fact that the event has not", map[string]any{"message": "{path}"}, "", "", "no such fact"},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := new(logBook)
			d, p := openFunction(t, &Workplace{Log: book.logger()}, Spec{Agent: Callback, Call: "log", Args: c.args})
			a := activation("", aem.Fact{Name: "topic", Value: "a/t"})
			a.Event.Count = 7
			got := d.outcome(p, a)
			records := slices.DeleteFunc(book.records(t), func(r record) bool {
				return r["took"] != nil // a busy machine's callback kept the loop, which is told too
			})
			if c.fails != "" {
				if got.Outcome != aem.Failed || !strings.Contains(got.Err, c.fails) || len(records) != 0 {
					t.Errorf("%v %q, logged %v", got.Outcome, got.Err, records)
				}
				return
			}
			if got.Outcome != aem.Done || len(records) != 1 {
				t.Fatalf("%v %q, logged %v", got.Outcome, got.Err, records)
			}
			r := records[0]
			if r["level"] != c.level || r["msg"] != c.message || r["app"] != "app" || r["event"] != "e" || r["id"] != "42" {
				t.Errorf("logged %v", r)
			}
		})
	}
}

func TestEmit_R203(t *testing.T) {
	bothAgents(t, func(t *testing.T, agent AgentKind) {
		for _, c := range []struct {
			name    string
			args    map[string]any
			refuse  error
			want    string
			outcome aem.Outcome
		}{
			{"the event's own data", map[string]any{"topic": "a/t"}, nil, "a/t data", aem.Done},
			{"data", map[string]any{"topic": "a/t", "data": "{id} of {event}"}, nil, "a/t 42 of e", aem.Done},
			{"empty data", map[string]any{"topic": "a/t", "data": ""}, nil, "a/t ", aem.Done},
			{"a fact that the event has not", map[string]any{"topic": "a/t", "data": "{path}"}, nil, "", aem.Failed},
			{"a subscriber at its limit", map[string]any{"topic": "a/t"}, fmt.Errorf("publish: %w", ErrFull), "a/t data", aem.Retry},
		} {
			published := ""
			w := &Workplace{Publish: func(topic string, data []byte) error {
				published = topic + " " + string(data)
				return c.refuse
			}}
			d, p := openFunction(t, w, Spec{Agent: agent, Call: "emit", Args: c.args})
			if got := d.outcome(p, activation("data")); got.Outcome != c.outcome || published != c.want {
				t.Errorf("%s: %v %q, published %q", c.name, got.Outcome, got.Err, published)
			}
		}
	})
}

func TestFunctionIsRefused(t *testing.T) {
	for _, c := range []struct {
		call string
		args map[string]any
		want string
	}{
		{"", nil, "is not a built-in (log, emit): a Go function needs the library embedded"},
		{"lgo", nil, `"lgo" is not a built-in`},
		{"log", map[string]any{"level": "loud"}, `args.level: "loud" is no level`},
		{"log", map[string]any{"message": "{"}, "args.message: parse"},
		{"emit", nil, "args.topic is missing"},
		{"emit", map[string]any{"topic": "a/t", "data": "{Path}"}, "args.data: parse"},
	} {
		if _, err := new(Workplace).Open(Spec{Agent: Callback, Call: c.call, Args: c.args}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, want %q", c.call, c.args, err, c.want)
		}
	}
}
