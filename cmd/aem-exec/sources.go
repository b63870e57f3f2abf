package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/source"
)

// sourceAbout is one type of event, as --json has it.
type sourceAbout struct {
	Type   string       `json:"type"`
	About  string       `json:"about"`
	Works  bool         `json:"works"` // on this kernel, for who asks
	Why    string       `json:"why"`   // not
	Kernel string       `json:"kernel"`
	Linux  string       `json:"linux"` // the first version that has that
	Keys   []config.Key `json:"keys"`
	Facts  []factAbout  `json:"facts"` // its own; `sources` without --json says those of every type too
	Data   string       `json:"data"`

	Lacks map[string]string `json:"lacks"` // keys that do not work here though the type does, and why
}

type factAbout struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	About string `json:"about"`
}

func (p *program) sourcesVerb() *cobra.Command {
	return p.jsonFlag(&cobra.Command{
		Use:   "sources [TYPE...]",
		Short: "List the types of events, and whether this kernel has what they stand on",
		RunE:  p.verb(func(_ *cobra.Command, types []string) error { return p.sources(types) }),
	})
}

// sources shows all types in a line each, or some with everything about them.
func (p *program) sources(types []string) error {
	all, err := sourcesNamed(types)
	switch {
	case err != nil:
		return usageError{err}
	case p.json:
		return p.printJSON(all)
	case len(types) == 0:
		return p.printSources(all)
	}
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(p.out)
		}
		if err := p.printSource(s); err != nil {
			return err
		}
	}
	return nil
}

// sourcesNamed probes the types that are named, or all.
func sourcesNamed(names []string) ([]sourceAbout, error) {
	var all []sourceAbout
	rows := map[string]config.EventType{}
	for _, t := range config.EventTypes() {
		rows[t.Name] = t
		if len(names) == 0 {
			all = append(all, aboutSource(t))
		}
	}
	for _, name := range names {
		t, ok := rows[name]
		if !ok {
			return nil, fmt.Errorf("no type %q: `aem-exec sources` lists them", name)
		}
		all = append(all, aboutSource(t))
	}
	return all, nil
}

func aboutSource(t config.EventType) sourceAbout {
	s := sourceAbout{Type: t.Name, About: t.About, Works: true, Lacks: map[string]string{}, Kernel: t.Kernel, Linux: t.Linux, Keys: t.Keys, Facts: factsAbout(t.Facts), Data: t.Data}
	if err := t.Check(); err != nil {
		s.Works, s.Why = false, err.Error()
	} else {
		s.Lacks = t.Lacks()
	}
	return s
}

func factsAbout(fields []source.Field) []factAbout {
	facts := make([]factAbout, len(fields))
	for i, f := range fields {
		facts[i] = factAbout{f.Name, f.Kind.String(), f.About}
	}
	return facts
}

func (p *program) printSources(all []sourceAbout) error {
	rows := [][]string{{"TYPE", "HERE", "LINUX", "WHAT OF IT"}}
	var lacks []string
	for _, s := range all {
		here := "works"
		if !s.Works {
			here, lacks = "no", append(lacks, s.Type+" does not work here: "+s.Why)
		}
		for _, key := range slices.Sorted(maps.Keys(s.Lacks)) {
			here, lacks = "partly", append(lacks, s.Type+" works here, but not its key "+key+": "+s.Lacks[key])
		}
		rows = append(rows, []string{s.Type, here, s.Linux, s.Kernel})
	}
	if err := p.table(rows); err != nil || lacks == nil {
		return err
	}
	fmt.Fprintf(p.out, "\n%s\n", strings.Join(lacks, "\n"))
	return nil
}

// verdict says whether the type works here and, if not, why.
func (s *sourceAbout) verdict() string {
	if !s.Works {
		return "no: " + s.Why
	}
	keys := slices.Sorted(maps.Keys(s.Lacks))
	if len(keys) == 0 {
		return "works"
	}
	whys := make([]string, len(keys))
	for i, key := range keys {
		whys[i] = key + ": " + s.Lacks[key]
	}
	return "works, but not " + strings.Join(whys, "; ")
}

// printSource shows everything about a type: its keys and facts as tables.
func (p *program) printSource(s sourceAbout) error {
	fmt.Fprintf(p.out, "%s: %s\n\n", s.Type, s.About)
	if err := p.table([][]string{{"here", s.verdict()}, {"linux", s.Linux}, {"of it", s.Kernel}, {"data", s.Data}}); err != nil {
		return err
	}
	keys := [][]string{{"KEY", "VALUE", "DEFAULT", "MEANING"}}
	for _, k := range s.Keys {
		def := ""
		if k.Default != nil {
			text, _ := json.Marshal(k.Default) // words, numbers and lists
			def = string(text)
		}
		keys = append(keys, []string{k.Name, k.Value, def, k.Meaning})
	}
	fmt.Fprintln(p.out)
	if err := p.table(keys); err != nil {
		return err
	}
	facts := [][]string{{"FACT", "KIND", "MEANING"}}
	for _, f := range append(s.Facts, factsAbout(source.Common)...) {
		facts = append(facts, []string{f.Name, f.Kind, f.About})
	}
	fmt.Fprintln(p.out)
	return p.table(facts)
}
