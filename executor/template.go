package executor

import (
	"fmt"
	"strings"
)

// Template is text with facts in it, as {name}. `{{` stands for a brace; a } outside a placeholder is itself.
type Template struct{ parts []part }

// part is plain text, or the name of a fact.
type part struct {
	text string
	fact bool
}

// ParseTemplate reads s.
func ParseTemplate(s string) (Template, error) {
	var t Template
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			t.parts = append(t.parts, part{text: plain.String()})
			plain.Reset()
		}
	}
	for {
		before, rest, ok := strings.Cut(s, "{")
		plain.WriteString(before)
		if !ok {
			flush()
			return t, nil
		}
		if strings.HasPrefix(rest, "{") {
			plain.WriteByte('{')
			s = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !isFactName(name) {
			return Template{}, fmt.Errorf("parse %q: want {name} or, for a brace, {{", "{"+rest)
		}
		flush()
		t.parts = append(t.parts, part{name, true})
		s = after
	}
}

// isFactName reports whether s is made of small letters and underscores, as the names of facts are.
func isFactName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// Names are the facts that the template wants, each as often as it occurs.
func (t Template) Names() []string {
	var names []string
	for _, p := range t.parts {
		if p.fact {
			names = append(names, p.text)
		}
	}
	return names
}

// LeadingFact is the fact that the text begins with, "" when it begins with plain text.
func (t Template) LeadingFact() string {
	if len(t.parts) > 0 && t.parts[0].fact {
		return t.parts[0].text
	}
	return ""
}

// Expand puts the facts in their places. Text without facts is returned as it is; other text costs one allocation.
func (t Template) Expand(lookup func(name string) (string, bool)) (string, error) {
	if len(t.parts) == 0 {
		return "", nil
	}
	if len(t.parts) == 1 && !t.parts[0].fact {
		return t.parts[0].text, nil
	}
	var short [256]byte // on the stack: arguments and messages are mostly shorter
	text := short[:0]
	for _, p := range t.parts {
		value := p.text
		if p.fact {
			v, ok := lookup(p.text)
			if !ok {
				return "", fmt.Errorf("expand {%s}: the event has no such fact", p.text)
			}
			value = v
		}
		text = append(text, value...)
	}
	return string(text), nil
}
