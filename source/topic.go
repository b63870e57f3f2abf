package source

import "github.com/aem-exec/aem-exec/aem"

var topicType = Type{
	Name:  "topic",
	Facts: []Field{{"topic", aem.FactText, "the full name, `APP/NAME`"}},
	Data:  "what was emitted",
	Open:  func(e Env) Source { return NewTopics(e) },
	Merge: mergeNewest, Merged: "the data is the newest's",
}

// Topics is the source of type topic: publications inside the supervisor and from outside, by name.
type Topics struct {
	env  Env
	jobs map[string][]aem.JobID // by full name, in the order they started
	name map[aem.JobID]string
	fact map[string][]aem.Fact // of each name: shared by its events
}

// NewTopics makes the source of type topic.
func NewTopics(e Env) *Topics {
	return &Topics{env: e, jobs: map[string][]aem.JobID{}, name: map[aem.JobID]string{}, fact: map[string][]aem.Fact{}}
}

// Start subscribes a job.
func (s *Topics) Start(id aem.JobID, spec Spec) error {
	name := spec.(Topic).Name
	s.jobs[name] = append(s.jobs[name], id)
	s.name[id] = name
	s.fact[name] = []aem.Fact{{Name: "topic", Value: name}}
	return nil
}

// Stop ends a subscription.
func (s *Topics) Stop(id aem.JobID) {
	name, ok := s.name[id]
	if !ok {
		return
	}
	delete(s.name, id)
	var rest []aem.JobID // a new list: a publication may be going through the old one
	for _, other := range s.jobs[name] {
		if other != id {
			rest = append(rest, other)
		}
	}
	if s.jobs[name] = rest; rest == nil {
		delete(s.jobs, name)
		delete(s.fact, name)
	}
}

// Hold is nothing for a topic: a publisher is refused before anything is detected.
func (s *Topics) Hold(aem.JobID) {}

// Resume is nothing for a topic.
func (s *Topics) Resume(aem.JobID) {}

// Close is nothing for a topic.
func (s *Topics) Close() {}

// Subscribers are the jobs that a publication under the full name reaches now.
func (s *Topics) Subscribers(name string) []aem.JobID { return s.jobs[name] }

// Publish detects one event, with one id, for every subscriber. The data is theirs from here on.
func (s *Topics) Publish(name string, data []byte) *aem.Event {
	e := s.env.Sink.NewEvent("topic")
	e.Facts = s.fact[name]
	e.Data = data
	for _, id := range s.jobs[name] {
		s.env.Sink.Detected(id, e)
	}
	return e
}
