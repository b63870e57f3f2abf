package test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestArrivalsExample_R034_R075 runs configs/arrivals.toml: events that are merged, skipped, replaced and kept out.
func TestArrivalsExample_R034_R075(t *testing.T) {
	example, err := os.ReadFile("../configs/arrivals.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := prepare(t, myself(), "")
	s.write("aem.toml", strings.ReplaceAll(string(example), "../", ""))
	s.run()
	for range 3 {
		s.publish("arrivals/reading", "7") // while the one before runs
		s.publish("arrivals/reading", "")
	}
	s.log.await(t, `supervisor.deadline: arrivals/reading`, "event=late")
	books := map[string]counts{}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, j := range s.list() {
			books[j.Event] = j.Counts
		}
		if books["portions"].Done >= 3 && books["alone"].Done >= 2 && books["reading"].Waiting+books["reading"].Running == 0 {
			break
		}
	}
	if c := books["reading"]; c.Detected != 3 || c.Shed != 1 || c.Done != 2 {
		t.Errorf("readings %+v", c)
	}
	if c := books["alone"]; c.Shed == 0 || c.Waiting != 0 {
		t.Errorf("alone %+v", c)
	}
	if c := books["portions"]; c.Done < 3 || c.Shed != 0 {
		t.Errorf("portions %+v", c)
	}
	if out := s.must("ctl", "lookup", "arrivals/reading"); !strings.Contains(out, "filtered  3\n") || !strings.Contains(out, "missed    1 deadlines\n") {
		t.Errorf("lookup: %s", out)
	}
	s.stop()
}
