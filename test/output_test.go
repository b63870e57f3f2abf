package test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// outputApp has handlers that write: what the event says, and without end.
const outputApp = `
[app.loud.event.say]
type = "topic"
handler = { exec = ["sh", "-c", "eval \"$(cat)\""], handover = "data" }
[app.loud.event.flood]
type = "topic"
handler = { exec = ["yes", "flood"], handover = "none" }
[app.quiet.event.t]
type = "topic"
handler = { exec = ["true"], handover = "none" }
`

// TestOutputIsLogged looks at what handlers write, line by line in the log, as text and as JSON.
func TestOutputIsLogged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			s := start(t, myself(), "log = { format = \""+format+"\" }\n"+outputApp)
			id := s.publish("loud/say", "echo one; echo 'two words' >&2; printf 'no newline'")
			fact := func(name, value string) string {
				if format == "json" {
					return string(must(json.Marshal(name))) + ":" + string(must(json.Marshal(value)))
				}
				if strings.Contains(value, " ") {
					value = `"` + value + `"`
				}
				return name + "=" + value
			}
			whose := []string{fact("app", "loud"), fact("handler", "say"), fact("event", "say"), fact("id", id)}
			s.log.await(t, append(whose, fact("msg", "one"), fact("stream", "stdout"))...)
			s.log.await(t, append(whose, fact("msg", "two words"), fact("stream", "stderr"))...)
			s.log.await(t, append(whose, fact("msg", "no newline"), fact("stream", "stdout"))...)

			// A line longer than 8 KiB is cut, and says by how much; control characters stay data.
			s.must("emit", "loud/say", "--data", `head -c 10000 /dev/zero | tr '\0' x; echo; printf 'a\tb\033[2J"\n'`)
			long := s.log.await(t, "xxxx", "cut_bytes")
			if n := strings.Count(long, "x"); n != 8<<10 || !strings.Contains(strings.ReplaceAll(long, `"`, ""), "cut_bytes"+map[string]string{"json": ":", "text": "="}[format]+"1808") {
				t.Errorf("of the long line there are %d characters, %.200s", n, long[max(0, len(long)-200):])
			}
			s.log.await(t, `a\tb`, `[2J\"`)
			s.settled("loud", "say", 2)
			s.stop()
			if format == "json" {
				checkJSON(t, s.log.String())
			}
		})
	}
}

// checkJSON reads every record of a log; the program's own words stand between them.
func checkJSON(t *testing.T, log string) {
	records := 0
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "ready: ") || strings.HasPrefix(line, "terminated: ") {
			continue
		}
		var record struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Time == "" || record.Level == "" {
			t.Errorf("%v in %.200q", err, line)
		}
		records++
	}
	if records < 5 {
		t.Errorf("%d records", records)
	}
}

// TestFloodDelaysNobodyElse has a handler that writes without end, beside an app that must not notice.
func TestFloodDelaysNobodyElse(t *testing.T) {
	s := start(t, myself(), "grace = \"100ms\"\n"+outputApp)
	s.must("emit", "loud/flood")
	s.log.await(t, "msg=flood")
	slowest := time.Duration(0)
	for range 30 {
		began := time.Now()
		s.must("emit", "quiet/t", "--wait")
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 2*time.Second {
		t.Errorf("an event of the other app took %v", slowest)
	}
	lost := s.log.await(t, "lines lost: more than the share of a second", "app=loud", "handler=flood", "stream=stdout")
	t.Logf("slowest %v; %s", slowest, lost)
	if seconds, lines := int(time.Since(s.born).Seconds()), len(s.log.lines("msg=flood")); lines > (seconds+2)*1000 {
		t.Errorf("%d lines in %d seconds", lines, seconds)
	}
	s.stop()
}

// TestReportHasStderr has many handlers fail at once, each of which says why just before.
func TestReportHasStderr(t *testing.T) {
	s := start(t, myself(), `
[app.a.event.t]
type = "topic"
handler = { exec = ["sh", "-c", "echo because of $AEM_ID >&2; exit 65"], handover = "none" }
`)
	const events = 100
	ids := make([]string, events)
	for i := range ids {
		ids[i] = s.publish("a/t", "")
	}
	s.settled("a", "t", events)
	for _, id := range ids {
		s.log.await(t, "msg=failed", "id="+id, `stderr="because of `+id+`"`)
	}
	s.stop()
}
