package executor

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
)

// newScribe reads into a book; it ends with the test, after its streams.
func newScribe(t *testing.T) (*Scribe, *logBook) {
	t.Helper()
	book := new(logBook)
	s, err := NewScribe(book.logger(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, book
}

// newStream is a stream and the end that a process would inherit.
func newStream(t *testing.T, s *Scribe, labels ...slog.Attr) (*Stream, func(text string)) {
	t.Helper()
	stream, err := s.NewStream(1, labels...)
	if err != nil {
		t.Fatal(err)
	}
	return stream, func(text string) {
		t.Helper()
		for len(text) > 0 {
			n, err := syscall.Write(stream.Write, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			text = text[n:]
		}
	}
}

func messages(records []record) (all []string) {
	for _, r := range records {
		all = append(all, r["msg"].(string))
	}
	return all
}

func TestOutputIsLoggedLineByLine(t *testing.T) {
	seven := strings.Repeat("7", 7<<10)
	for _, c := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"a line", []string{"hello\n"}, []string{"hello"}},
		{"a line in three pieces", []string{"he", "ll", "o\n"}, []string{"hello"}},
		{"lines in one piece", []string{"a\nb\nc\n"}, []string{"a", "b", "c"}},
		{"lines longer than a chunk together", []string{seven + "a\n" + seven + "b\n" + seven + "c\n"}, []string{seven + "a", seven + "b", seven + "c"}},
		{"no newline at the end", []string{"a\nb"}, []string{"a", "b"}},
		{"empty lines", []string{"\n\na\n\n"}, []string{"a"}},
		{"any bytes", []string{"a\x00b\x1b[2J\n"}, []string{"a\x00b\x1b[2J"}},
		{"nothing", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, book := newScribe(t)
			stream, write := newStream(t, s, slog.String("app", "web"), slog.String("stream", "stdout"))
			for _, text := range c.writes {
				write(text)
			}
			stream.Close()
			records := book.records(t)
			if got := messages(records); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("%.200q, want %.200q", got, c.want)
			}
			for _, r := range records {
				if r["app"] != "web" || r["stream"] != "stdout" || r["level"] != "INFO" {
					t.Errorf("record %v", r)
				}
			}
		})
	}
}

func TestLongLinesAreCut(t *testing.T) {
	for _, c := range []struct{ length, cut int }{
		{lineBytes - 1, 0}, {lineBytes, 0}, {lineBytes + 1, 1}, {chunkBytes, chunkBytes - lineBytes}, {200_000, 200_000 - lineBytes},
	} {
		s, book := newScribe(t)
		stream, write := newStream(t, s)
		write(strings.Repeat("x", c.length) + "\nnext\n")
		stream.Close()
		records := book.records(t)
		if len(records) != 2 || records[1]["msg"] != "next" || records[1]["cut_bytes"] != nil {
			t.Fatalf("%d bytes: %d records, the last %v", c.length, len(records), records[len(records)-1])
		}
		cut, _ := records[0]["cut_bytes"].(float64)
		if line := records[0]["msg"].(string); len(line) != c.length-c.cut || int(cut) != c.cut {
			t.Errorf("%d bytes: %d were logged, %v cut, want %d", c.length, len(line), cut, c.cut)
		}
	}
}

// TestLinesBeyondTheShareAreCounted_R008 writes far more lines than the share of two seconds.
func TestLinesBeyondTheShareAreCounted_R008(t *testing.T) {
	s, book := newScribe(t)
	stream, write := newStream(t, s)
	const lines = 5 * linesPerSecond
	write(strings.Repeat("x\n", lines))
	stream.Close()
	logged, lost, _ := shares(book.records(t))
	if logged+lost != lines || logged < linesPerSecond {
		t.Errorf("of %d lines %d were logged and %d told as lost", lines, logged, lost)
	}
	if lost == 0 {
		t.Error("no line is beyond the share")
	}
}

// TestShareHoldsOverManyEvents has an event for each line: what is lost is not told for each of them, or telling would
// be the flood.
func TestShareHoldsOverManyEvents(t *testing.T) {
	s, book := newScribe(t)
	stream, write := newStream(t, s)
	const events = 5 * linesPerSecond
	for id := range aem.EventID(events) {
		stream.Follow("order", id+1)
		write("x\n")
		stream.Drain()
	}
	stream.Close()
	logged, lost, told := shares(book.records(t))
	if logged+lost != events || told > logged/linesPerSecond+1 {
		t.Errorf("of %d lines %d were logged and %d told as lost, in %d records", events, logged, lost, told)
	}
}

// TestLostLinesAreToldWhenTheirProcessIsGone: another may come late, or never.
func TestLostLinesAreToldWhenTheirProcessIsGone(t *testing.T) {
	s, book := newScribe(t)
	stream, write := newStream(t, s)
	defer stream.Close()
	const lines = 5 * linesPerSecond
	stream.Follow("order", 1)
	write(strings.Repeat("x\n", lines))
	stream.Renew()
	if logged, lost, _ := shares(book.records(t)); logged+lost != lines {
		t.Errorf("of %d lines %d were logged and %d told as lost", lines, logged, lost)
	}
	for _, r := range book.records(t) {
		if r["event"] != "order" {
			t.Fatalf("record %v", r)
		}
	}
}

// shares counts the lines that were logged, those that were told as lost, and the records that told it.
func shares(records []record) (logged, lost, told int) {
	for _, r := range records {
		if n, ok := r["lines"].(float64); ok && r["level"] == "WARN" {
			lost += int(n)
			told++
		} else {
			logged++
		}
	}
	return logged, lost, told
}

func TestTailIsTheLastOfIt(t *testing.T) {
	s, _ := newScribe(t)
	stream, write := newStream(t, s)
	defer stream.Close()
	if got := stream.Drain(); got != "" {
		t.Errorf("a stream without output ends with %q", got)
	}
	var all strings.Builder
	for i := range 2000 {
		line := fmt.Sprintf("line %d\n", i)
		write(line)
		all.WriteString(line)
		if i%250 == 0 {
			whole := strings.TrimSpace(all.String())
			got := stream.Drain()
			if !strings.HasSuffix(whole, got) || len(got) < min(len(whole), tailBytes-10) || len(got) > tailBytes {
				t.Fatalf("after line %d: %d bytes of %d, ending %.20q", i, len(got), len(whole), got)
			}
		}
	}
	write("  the end  \n\n")
	if got := stream.Drain(); !strings.HasSuffix(got, "the end") || !strings.Contains(got, "line 1999") {
		t.Errorf("it ends with %q", got[max(0, len(got)-40):])
	}
	write(strings.Repeat("y", 3*chunkBytes))
	if got := stream.Drain(); got != strings.Repeat("y", tailBytes) {
		t.Errorf("of one long line %d bytes are left", len(got))
	}
	stream.Follow("e", 1)
	write("of the next event\n")
	if got := stream.Drain(); got != "of the next event" {
		t.Errorf("the next event's tail is %q", got)
	}
}

func TestFollowPutsLinesDownToTheirEvent(t *testing.T) {
	s, book := newScribe(t)
	stream, write := newStream(t, s, slog.String("handler", "h"))
	for _, e := range []struct {
		name string
		id   aem.EventID
	}{{"", 0}, {"order", 1}, {"order", 2}, {"audit", 2}, {"", 0}, {"mail", 3}} {
		stream.Follow(e.name, e.id)
		write(fmt.Sprintf("%s %d\n", e.name, e.id))
		stream.Drain()
	}
	stream.Close()
	records := book.records(t)
	if len(records) != 6 {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		event, _ := r["event"].(string)
		id, _ := r["id"].(string)
		if id == "" {
			id = "0"
		}
		if r["msg"] != event+" "+id || r["handler"] != "h" {
			t.Errorf("record %v", r)
		}
	}
}

func TestCloseLogsWhatIsInThePipe(t *testing.T) {
	s, book := newScribe(t)
	stream, write := newStream(t, s)
	write(strings.Repeat("a line\n", linesPerSecond/2) + "last words")
	stream.Close()
	if all := messages(book.records(t)); len(all) != linesPerSecond/2+1 || all[len(all)-1] != "last words" {
		t.Errorf("%d records", len(all))
	}
}

// TestStreamsAreNotMixed has many streams written to at once, and closed while others are read.
func TestStreamsAreNotMixed(t *testing.T) {
	s, book := newScribe(t)
	const streams, lines = 20, 200
	var writers sync.WaitGroup
	for i := range streams {
		stream, write := newStream(t, s, slog.Int("stream", i))
		writers.Go(func() {
			for n := range lines {
				write(fmt.Sprintf("%d %d\n", i, n))
			}
			stream.Close()
		})
	}
	writers.Wait()
	next := make([]int, streams)
	for _, r := range book.records(t) {
		i := int(r["stream"].(float64))
		if want := fmt.Sprintf("%d %d", i, next[i]); r["msg"] != want {
			t.Fatalf("stream %d says %q, want %q", i, r["msg"], want)
		}
		next[i]++
	}
	for i, n := range next {
		if n != lines {
			t.Errorf("%d lines of stream %d", n, i)
		}
	}
}

// TestProgramsSeeAPlainPipe: their end blocks, as they expect, and nobody else holds the other.
func TestProgramsSeeAPlainPipe(t *testing.T) {
	s, _ := newScribe(t)
	stream, _ := newStream(t, s)
	defer stream.Close()
	for _, c := range []struct {
		end          string
		fd, get, bit int
		want         bool
	}{
		{"the program's end", stream.Write, syscall.F_GETFL, syscall.O_NONBLOCK, false},
		{"the program's end", stream.Write, syscall.F_GETFD, syscall.FD_CLOEXEC, true},
		{"our end", stream.read, syscall.F_GETFL, syscall.O_NONBLOCK, true},
		{"our end", stream.read, syscall.F_GETFD, syscall.FD_CLOEXEC, true},
	} {
		v, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(c.fd), uintptr(c.get), 0)
		if errno != 0 || (int(v)&c.bit != 0) != c.want {
			t.Errorf("%s: flags %#x, bit %#x, want %t (%v)", c.end, v, c.bit, c.want, errno)
		}
	}
}
