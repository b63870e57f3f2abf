package test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTimersExample_R107_R222 runs configs/timers.toml: each kind of timer, and what check and ctl say of the calendars.
func TestTimersExample_R107_R222(t *testing.T) {
	example, err := os.ReadFile("../configs/timers.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := prepare(t, myself(), "")
	s.write("aem.toml", strings.ReplaceAll(string(example), "../", ""))
	out := s.must("check")
	for _, want := range []string{
		`(?m)^clock/morning: next (\S+ \S+, ){2}\S+ \S+$`, `(?m)^clock/night: next (\S+ \S+, ){2}\S+ \S+$`,
		`(?m)^clock/party: next 2\d\d\d-\d\d-\d\d \S+$`, `(?m)^clock/evening: next \S+ 18:00:00$`, `: ok, 7 jobs in 1 app\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("check has no %s:\n%s", want, out)
		}
	}
	s.run()
	s.log.await(t, "soon: due 2", "0 more were missed", "event=soon")
	s.log.await(t, "beat: due 2", "event=beat")
	if out := s.must("ctl", "lookup", "clock/morning"); !regexp.MustCompile(`(?m)^next +(\S+ \S+, ){2}\S+ \S+$`).MatchString(out) {
		t.Errorf("lookup: %s", out)
	}
	if out := s.must("ctl", "lookup", "clock/soon"); !regexp.MustCompile(`(?m)^next +-$`).MatchString(out) {
		t.Errorf("what was once is due again: %s", out)
	}
	s.stop()
}
