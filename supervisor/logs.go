package supervisor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// recordsKept is how many records may wait to be written; what comes beyond is counted, and told when there is room.
const recordsKept = 4096

// logRing takes records from everybody at once and has a goroutine of its own write them, so that nobody waits for
// whoever reads the log.
type logRing struct {
	level   slog.Level
	records chan func()
	lost    atomic.Uint64
	sink    slog.Handler
	stop    sync.Once
	done    chan struct{}
}

// newLogRing begins to write to w, in one of the formats text, json and journal.
func newLogRing(o Log, w io.Writer) (*logRing, error) {
	sink, err := logSink(o, w)
	if err != nil {
		return nil, err
	}
	r := &logRing{level: o.Level, records: make(chan func(), recordsKept), sink: sink, done: make(chan struct{})}
	go r.run()
	return r, nil
}

func logSink(o Log, w io.Writer) (slog.Handler, error) {
	options := &slog.HandlerOptions{Level: o.Level}
	switch o.Format {
	case "", "text":
		return slog.NewTextHandler(w, options), nil
	case "json":
		return slog.NewJSONHandler(w, options), nil
	case "journal":
		if !journal.Enabled() {
			return nil, fmt.Errorf("log.format: no journal on this host")
		}
		return journalSink{}, nil
	}
	return nil, fmt.Errorf("log.format: unknown format %q", o.Format)
}

func (r *logRing) run() {
	defer close(r.done)
	for write := range r.records {
		write()
		if n := r.lost.Swap(0); n > 0 {
			slog.New(r.sink).Warn("log records lost: they came faster than they are read", "records", n)
		}
	}
}

// stuckReader is how long nothing may be written at the end before the rest is given up: whoever reads the log may have
// stopped reading.
const stuckReader = time.Second

// close writes what waits and ends. Nothing is logged any more.
func (r *logRing) close() {
	r.stop.Do(func() { close(r.records) })
	for before := -1; len(r.records) != before; {
		before = len(r.records)
		select {
		case <-r.done:
			return
		case <-time.After(stuckReader):
		}
	}
}

// logger is the logger of everybody.
func (r *logRing) logger() *slog.Logger { return slog.New(ringHandler{r, r.sink}) }

// ringHandler is a slog.Handler that leaves the writing to the ring.
type ringHandler struct {
	ring *logRing
	sink slog.Handler
}

func (h ringHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.ring.level }

func (h ringHandler) Handle(_ context.Context, record slog.Record) error {
	select {
	case h.ring.records <- func() { h.sink.Handle(context.Background(), record) }: //nolint:errcheck // nowhere is left to say it
	default:
		h.ring.lost.Add(1)
	}
	return nil
}

func (h ringHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ringHandler{h.ring, h.sink.WithAttrs(attrs)}
}

func (h ringHandler) WithGroup(name string) slog.Handler {
	return ringHandler{h.ring, h.sink.WithGroup(name)}
}

// journalSink writes to the systemd journal, each attribute as a field of its own.
type journalSink struct{ attrs []slog.Attr }

func (s journalSink) Enabled(context.Context, slog.Level) bool { return true }

func (s journalSink) Handle(_ context.Context, record slog.Record) error {
	fields := map[string]string{}
	add := func(a slog.Attr) bool {
		fields["AEM_"+strings.ToUpper(a.Key)] = a.Value.String()
		return true
	}
	for _, a := range s.attrs {
		add(a)
	}
	record.Attrs(add)
	return journal.Send(record.Message, journalPriority(record.Level), fields)
}

func (s journalSink) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journalSink{append(s.attrs[:len(s.attrs):len(s.attrs)], attrs...)}
}

func (s journalSink) WithGroup(string) slog.Handler { return s }

func journalPriority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

// standardError is where the log goes unless its format is journal.
func standardError() io.Writer { return os.Stderr }
