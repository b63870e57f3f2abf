package source

import (
	"slices"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
)

// reached is which jobs detected something, in that order.
func (d *desk) reached() (jobs []aem.JobID) {
	for _, e := range d.detected {
		jobs = append(jobs, e.job)
	}
	return jobs
}

func subscribe(t *testing.T, s Source, name string, jobs ...aem.JobID) {
	t.Helper()
	for _, id := range jobs {
		if err := s.Start(id, Topic{name}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublicationIsOneEventForAll_R110_R203(t *testing.T) {
	d, s := newDesk(t, "topic")
	topics := s.(*Topics)
	subscribe(t, s, "a/t", 3, 1, 2)
	subscribe(t, s, "a/other", 4)
	e := topics.Publish("a/t", []byte("text"))
	if got := d.reached(); !slices.Equal(got, []aem.JobID{3, 1, 2}) {
		t.Errorf("it reached %v", got)
	}
	for _, got := range d.detected {
		if got.Event != e {
			t.Errorf("job %v has another event", got.job)
		}
	}
	if topic, _ := e.Fact("topic"); topic != "a/t" || string(e.Data) != "text" || e.FD != -1 || e.Type != "topic" || e.Count != 1 {
		t.Errorf("event %+v", e)
	}
	if again := topics.Publish("a/t", nil); again.ID == e.ID {
		t.Error("two publications have one id")
	}
}

func TestPublicationToNobody(t *testing.T) {
	d, s := newDesk(t, "topic")
	topics := s.(*Topics)
	subscribe(t, s, "a/t", 1)
	s.Stop(1)
	s.Stop(1)
	if e := topics.Publish("a/t", nil); e.ID == 0 || len(d.detected) != 0 || len(topics.Subscribers("a/t")) != 0 {
		t.Errorf("event %v reached %v", e.ID, d.reached())
	}
	if len(topics.jobs)+len(topics.name)+len(topics.fact) != 0 {
		t.Error("something is kept of a topic without subscribers")
	}
}

// TestSubscribersChangeDuringAPublication: those of its beginning are reached, and nobody else.
func TestSubscribersChangeDuringAPublication(t *testing.T) {
	for _, c := range []struct {
		name  string
		then  func(t *testing.T, s Source)
		after []aem.JobID // what the next publication reaches
	}{
		{"the first leaves", func(_ *testing.T, s Source) { s.Stop(1) }, []aem.JobID{2, 3}},
		{"the last leaves", func(_ *testing.T, s Source) { s.Stop(3) }, []aem.JobID{1, 2}},
		{"all leave", func(_ *testing.T, s Source) { s.Stop(1); s.Stop(2); s.Stop(3) }, nil},
		{"another comes", func(t *testing.T, s Source) { subscribe(t, s, "a/t", 4) }, []aem.JobID{1, 2, 3, 4}},
		{"one leaves and comes", func(t *testing.T, s Source) { s.Stop(2); subscribe(t, s, "a/t", 2) }, []aem.JobID{1, 3, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, s := newDesk(t, "topic")
			subscribe(t, s, "a/t", 1, 2, 3)
			d.then = func(detected) {
				d.then = nil
				c.then(t, s)
			}
			e := s.(*Topics).Publish("a/t", nil)
			if got := d.reached(); !slices.Equal(got, []aem.JobID{1, 2, 3}) {
				t.Errorf("it reached %v", got)
			}
			if topic, _ := e.Fact("topic"); topic != "a/t" {
				t.Errorf("its topic is %q", topic)
			}
			d.detected = nil
			s.(*Topics).Publish("a/t", nil)
			if got := d.reached(); !slices.Equal(got, c.after) {
				t.Errorf("the next reached %v, want %v", got, c.after)
			}
		})
	}
}
