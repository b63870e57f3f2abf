package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// TestTablesOfPrograms: what a program leaves out is as in the file, but that it is born stopped.
func TestTablesOfPrograms(t *testing.T) {
	r, err := config.Tables{}.Event("a", "e", []byte(`{"type": "timer", "every": "1s", "priority": 3}`), false)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "event", r, supervisor.Registration{Name: "e", Source: source.Timer{Every: time.Second, First: time.Second},
		Priority: aem.Priority(3), Full: supervisor.HoldFull, Arrivals: supervisor.EachArrival})
	if r, err = (config.Tables{}).Event("a", "e", []byte(`{"type": "topic", "start": true}`), false); err != nil || !r.Start {
		t.Errorf("started %+v, %v", r, err)
	}
	h, err := config.Tables{}.Handler("h", []byte(`{"timeout": "2s", "arena": {"size": 65536, "copy": "shared"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != "h" || h.Agent != executor.Process || h.Life != executor.Attached || h.Handover != executor.Direct || h.Size != 0 ||
		h.Timeout != 2*time.Second || h.Retries != 3 || h.ArenaSize != 65536 || h.ArenaMax != 64<<20 || h.Copy != executor.SharedCopy {
		t.Errorf("handler %+v", h)
	}
}

// TestMistakesOfPrograms: each is told with its key, and all together.
func TestMistakesOfPrograms(t *testing.T) {
	for table, want := range map[string]string{
		`{"type": "timer", "every": 3, "jiter": "1s"}`:        `e.every: want a duration like "2s"; e: unknown key "jiter" (did you mean jitter?)`,
		`{"type": "socket.close", "of": "x y"}`:               "e: ",
		`{"type": "socket.accept"}`:                           "e: listen is missing",
		`{"type": "file", "path": "x"}`:                       `e: "x": want an absolute path`,
		`{"type": "process.exit", "pidfile": "run/x"}`:        `e: "run/x": want an absolute path`,
		`{"type": "topic", "handlers": ["a"]}`:                "e: handlers is for the file",
		`{"type": "topic", "filter": "nothing > 1"}`:          "e.filter: ",
		`{"type": "topic", "priority": 1.5}`:                  "e.priority: want a whole number",
		`{"type": "topic", "expire": null}`:                   "e: null is no value",
		`[]`:                                                  "e: want a table",
		`{"type": "topic"} {}`:                                "nothing behind it",
		`{`:                                                   "want a table in JSON",
		`{"type": "timer", "every": 99999999999999999999999}`: "e.every: ",
	} {
		if _, err := (config.Tables{}).Event("a", "e", []byte(table), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", table, err, want)
		}
	}
	for table, want := range map[string]string{
		`{"life": "cold"}`:                   "handler: life is for programs that are started",
		`{"arena": {"size": 1}}`:             "handler.arena.size: want a size from",
		`{"arena": {"alloc":"app","max":1}}`: "handler.arena",
		`{"retries": -1}`:                    "handler.retries: want a whole number",
		`7`:                                  "handler: want a table",
	} {
		if _, err := (config.Tables{}).Handler("h", []byte(table)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", table, err, want)
		}
	}
}

// FuzzTables reads whatever a program may send.
func FuzzTables(f *testing.F) {
	for _, table := range []string{
		`{"type":"timer","cron":"30 6 * * mon-fri","zone":"Europe/Berlin","start":true}`,
		`{"type":"socket.read","listen":["tcp://[::1]:7007","unix:@x"],"frame":"line","allow":["10.0.0.0/8"],"rate":"10/5m"}`,
		`{"type":"file","path":"/tmp","on":["written"],"filter":"size > 0"}`,
		`{"timeout":"2s","arena":{"copy":"shared"},"backoff":{"factor":2.5}}`,
		`{"type":"topic","topic":"a/b","arrivals":"merge","deadline":"5ms"}`, `null`, `{}`, `[1]`, `{"type":{}}`,
	} {
		f.Add([]byte(table))
	}
	f.Fuzz(func(t *testing.T, table []byte) {
		r, err := config.Tables{}.Event("a", "e", table, len(table)%2 == 0)
		if err == nil && (r.Source == nil || r.Handlers != nil || r.Priority >= aem.PriorityLevels) {
			t.Fatalf("%s is %+v", table, r)
		}
		h, err := config.Tables{}.Handler("h", table)
		if err == nil && (h.Life != executor.Attached || h.Exec != nil || h.ArenaSize < 4096) {
			t.Fatalf("%s is %+v", table, h)
		}
	})
}
