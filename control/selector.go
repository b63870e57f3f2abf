package control

import (
	"fmt"
	"path"
	"strings"

	"github.com/aem-exec/aem-exec/aem"
)

// Selector names jobs: one by its ID, or those whose app, event and handler match patterns in the style of path.Match.
type Selector struct {
	ID                  aem.JobID // when not 0, the patterns are empty
	App, Event, Handler string    // Handler "" matches every handler of the event
}

// ParseSelector reads `app/event`, `app/event:handler`, either with the patterns of path.Match, or an id like `12:7`.
func ParseSelector(s string) (Selector, error) {
	app, rest, ok := strings.Cut(s, "/")
	if !ok {
		id, err := aem.ParseJobID(s)
		if err != nil {
			return Selector{}, fmt.Errorf("parse selector %q: want app/event, app/event:handler, a pattern like app/* or an id like 12:7", s)
		}
		return Selector{ID: id}, nil
	}
	event, handler, named := strings.Cut(rest, ":")
	sel := Selector{App: app, Event: event, Handler: handler}
	if app == "" || event == "" || named && handler == "" {
		return Selector{}, fmt.Errorf("parse selector %q: want a name or a pattern on both sides of / and, if there is one, behind the colon", s)
	}
	for _, pattern := range []string{app, event, handler} {
		if err := checkPattern(pattern); err != nil {
			return Selector{}, fmt.Errorf("parse selector %q: %w", s, err)
		}
	}
	return sel, nil
}

// checkPattern refuses what could match no name at all, so that a slip does not pass for "no such job".
func checkPattern(pattern string) error {
	if strings.ContainsAny(pattern, "/:, \t\n") {
		return fmt.Errorf("%q has a character that no name has", pattern)
	}
	_, err := path.Match(pattern, "")
	return err
}

// ParseSelectors reads arguments that are selectors or lists of them, separated by commas or spaces.
func ParseSelectors(args []string) ([]Selector, error) {
	var all []Selector
	for _, arg := range args {
		for _, s := range SplitList(arg) {
			sel, err := ParseSelector(s)
			if err != nil {
				return nil, err
			}
			all = append(all, sel)
		}
	}
	return all, nil
}

// SplitList takes a list apart at its commas and spaces.
func SplitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

// Match reports whether the job is selected.
func (s Selector) Match(id aem.JobID, app, event, handler string) bool {
	if s.ID != 0 {
		return s.ID == id
	}
	return match(s.App, app) && match(s.Event, event) && (s.Handler == "" || match(s.Handler, handler))
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// String is the form that ParseSelector reads.
func (s Selector) String() string {
	switch {
	case s.ID != 0:
		return s.ID.String()
	case s.Handler != "":
		return s.App + "/" + s.Event + ":" + s.Handler
	}
	return s.App + "/" + s.Event
}

// MarshalText makes a selector a string wherever it is printed as JSON.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Selector) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSelector(string(text))
	return err
}
