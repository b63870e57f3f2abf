package executor_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/executor"
)

func TestTemplate(t *testing.T) {
	facts := map[string]string{"path": "/a b", "count": "3", "empty": ""}
	lookup := func(name string) (string, bool) { v, ok := facts[name]; return v, ok }
	for _, c := range []struct {
		text  string
		names []string
		want  string
		err   string // part of the error of parsing or expanding
	}{
		{text: "", want: ""},
		{text: "--", want: "--"},
		{text: "{path}", names: []string{"path"}, want: "/a b"},
		{text: "at {path}, {count} times {path}", names: []string{"path", "count", "path"}, want: "at /a b, 3 times /a b"},
		{text: "[{empty}]", names: []string{"empty"}, want: "[]"},
		{text: "{{path}", want: "{path}"},
		{text: "{{{{", want: "{{"},
		{text: "{{{path}}", names: []string{"path"}, want: "{/a b}"},
		{text: "a } b }}", want: "a } b }}"},
		{text: "{peer}", names: []string{"peer"}, err: "expand {peer}: the event has no such fact"},
		{text: "x{path", err: `parse "{path"`},
		{text: "{}", err: `parse "{}"`},
		{text: "{Path}", err: `parse "{Path}"`},
		{text: "{a{b}", err: `parse "{a{b}"`},
	} {
		got, names, err := expand(c.text, lookup)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: error %v, want %q", c.text, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want || !reflect.DeepEqual(names, c.names) {
			t.Errorf("%q: %q %v %v, want %q %v", c.text, got, names, err, c.want, c.names)
		}
	}
}

func expand(text string, lookup func(string) (string, bool)) (string, []string, error) {
	t, err := executor.ParseTemplate(text)
	if err != nil {
		return "", nil, err
	}
	s, err := t.Expand(lookup)
	return s, t.Names(), err
}

func TestTemplateLeadingFact(t *testing.T) {
	for text, want := range map[string]string{"{path}": "path", "{path}/x": "path", "-{path}": "", "{{path}": "", "": ""} {
		tmpl, err := executor.ParseTemplate(text)
		if got := tmpl.LeadingFact(); got != want || err != nil {
			t.Errorf("%q begins with fact %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestTemplateExpandAllocatesOnce(t *testing.T) {
	tmpl, err := executor.ParseTemplate("hello {peer}, you are number {count}")
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) { return name, true }
	if n := testing.AllocsPerRun(100, func() { _, _ = tmpl.Expand(lookup) }); n > 1 {
		t.Errorf("expanding allocates %v times, want at most once", n)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"", "{path}", "{{", "a{{b}{c}", "}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := executor.ParseTemplate(text)
		if err != nil {
			return
		}
		got, err := tmpl.Expand(func(name string) (string, bool) { return "{" + name + "}", true })
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(text, "{{", "{"); got != want {
			t.Errorf("%q expands to %q, want %q", text, got, want)
		}
	})
}
