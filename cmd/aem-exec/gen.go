package main

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/source"
)

//go:embed skeletons
var skeletonFiles embed.FS

// languages are those of skeletons, each with what of a type's facts cannot be a name in it.
var languages = map[string]struct {
	file  string
	taken []string
}{
	"go":     {"skeletons/handler.go.tmpl", []string{"error"}},
	"c":      {"skeletons/handler.c.tmpl", []string{"errno", "signal"}},
	"python": {"skeletons/handler.py.tmpl", []string{"dir"}},
	"sh":     {"skeletons/handler.sh.tmpl", nil},
}

// skeleton is what a template is filled with.
type skeleton struct {
	Type       string
	Connection bool // its events bring one
	Data       string
	Facts      []skeletonFact
}

type skeletonFact struct {
	Name, Variable, Environment, About string
}

func (p *program) genVerb() *cobra.Command {
	return p.group(&cobra.Command{Use: "gen", Short: "Write the beginning of a handler"}, &cobra.Command{
		Use:   "handler LANGUAGE TYPE",
		Short: "Write a handler for events of a type: in go, c, python or sh, with what such events bring",
		RunE: p.verb(func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("want a language (%s) and a type of events, as: gen handler c timer", strings.Join(languageNames(), ", "))}
			}
			return p.generate(args[0], args[1])
		}),
	})
}

func languageNames() []string {
	var names []string
	for name := range languages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (p *program) generate(language, typ string) error {
	l, ok := languages[language]
	if !ok {
		return usageError{fmt.Errorf("no skeleton in %q: there are %s", language, strings.Join(languageNames(), ", "))}
	}
	t, ok := source.TypeNamed(typ)
	if !ok {
		return usageError{fmt.Errorf("unknown type %q: aem-exec sources lists them", typ)}
	}
	s := skeleton{Type: typ, Connection: config.Connects(typ), Data: t.Data}
	for _, f := range t.Facts {
		variable := f.Name
		if slices.Contains(l.taken, variable) {
			variable += "_"
		}
		s.Facts = append(s.Facts, skeletonFact{f.Name, variable, "AEM_" + strings.ToUpper(f.Name), f.About})
	}
	text, err := template.ParseFS(skeletonFiles, l.file)
	if err != nil {
		panic("aem: internal error: parse skeleton: " + err.Error()) // it is part of the program
	}
	var out bytes.Buffer
	if err := text.Execute(&out, s); err != nil {
		panic("aem: internal error: fill in skeleton: " + err.Error())
	}
	code := out.Bytes()
	if language == "go" { // facts have names of any length: what stands in columns is gofmt's
		if code, err = format.Source(code); err != nil {
			panic("aem: internal error: format skeleton: " + err.Error())
		}
	}
	_, err = p.out.Write(code)
	return err
}
