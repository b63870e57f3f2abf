package source

import (
	"os"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestNewSource_R182: the source that docs/architecture.md shows is the one that is tested here, and does what is said of it.
func TestNewSource_R182(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("bell_test.go")
	if err != nil || !strings.Contains(string(page), "\n```go\n"+string(code)+"```\n") {
		t.Errorf("docs/architecture.md does not show bell_test.go: %v", err)
	}
	d, s := deskOf(t, bellType)
	for id, least := range []int64{1, 3} {
		if err := s.Start(aem.JobID(id), Bell{least}); err != nil {
			t.Fatal(err)
		}
	}
	ring := func(times int) {
		for range times {
			if err := sys.EventfdAdd(s.(*bells).fd); err != nil {
				t.Fatal(err)
			}
		}
	}
	ring(2)
	d.events(t, 1)
	s.Hold(aem.JobID(0))
	ring(3)
	d.events(t, 2)
	s.Resume(aem.JobID(0))
	for i, want := range []struct {
		job  int
		rung string
	}{{0, "2"}, {1, "3"}, {0, "3"}} {
		if e := d.detected[i]; e.job != aem.JobID(want.job) || e.facts()["rung"] != want.rung {
			t.Errorf("event %d is for %v: rung %s", i, e.job, e.facts()["rung"])
		}
	}
}
