package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// module is what the paths of our packages begin with.
const module = "github.com/aem-exec/aem-exec/"

// layers are our packages from the bottom up: each imports only from layers below its own. An asterisk stands for all
// packages of a folder.
var layers = [][]string{
	{"aem", "queue", "internal/sys", "internal/strict", "internal/sys/startlimit", "internal/slab", "internal/timing", "internal/owner", "internal/signals", "internal/memwatch", "internal/filewatch", "internal/procwatch", "internal/sockstate"},
	{"source", "directcopy", "limits", "policy", "internal/filter", "internal/spawn", "internal/audit", "control", "handler"},
	{"executor"},
	{"supervisor"},
	{"config"},
	{"cmd/*", "examples/*", "examples/handlers/*", "bench", "bench/*", "policy/internal/gensyscalls", "internal/aemtest", "internal/agenttest", "internal/libseccomp", "test", "test/*", "test/vm/*"},
}

// beside are the imports that are allowed inside a layer.
var beside = map[string][]string{
	"internal/timing":    {"internal/sys", "internal/slab"},
	"internal/signals":   {"internal/sys"},
	"internal/memwatch":  {"internal/sys"},
	"internal/owner":     {"internal/sys"},
	"internal/filewatch": {"internal/sys", "internal/owner"},
	"internal/procwatch": {"internal/sys", "internal/owner", "internal/timing"},
	"handler":            {"directcopy", "control"},
	"test/vm":            {"test/vm/guest", "internal/aemtest"},
	"test/vm/init":       {"test/vm/guest"},
	"bench":              {"internal/libseccomp"},
}

// kernel is the package that one package of ours alone may import.
const kernel, kernelUser = "golang.org/x/sys/unix", "internal/sys"

// apart is what packages must do without, themselves and in everything that they import.
var apart = []struct {
	pkg, why  string
	forbidden func(p pkg) bool
}{
	{"aem", "the nouns need the standard library only", func(p pkg) bool { return !p.Standard }},
	{"queue", "a queue needs the standard library only", func(p pkg) bool { return !p.Standard }},
	{"handler", "handler programs stay small", func(p pkg) bool {
		return slices.Contains([]string{module + "supervisor", module + "executor", "net/http"}, p.ImportPath)
	}},
}

// pkg is a package as `go list -json` tells of it.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func TestLayers(t *testing.T) {
	packages := listed(t)
	if len(packages) < 100 { // the standard library alone has more
		t.Fatalf("go list tells of %d packages only", len(packages))
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

// listed is our packages with everything that they import.
func listed(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// violations are the imports that break a rule, each with the rule.
func violations(packages []pkg) []string {
	var found []string
	byPath := map[string]pkg{}
	for _, p := range packages {
		byPath[p.ImportPath] = p
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		if layerOf(name) < 0 {
			found = append(found, name+" has no layer: give it one in this test")
		}
		for _, imported := range p.Imports {
			if why := refuse(name, imported); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", name, strings.TrimPrefix(imported, module), why))
			}
		}
	}
	for _, a := range apart {
		if chain := reach(byPath, module+a.pkg, a.forbidden); chain != nil {
			found = append(found, fmt.Sprintf("%s: %s", strings.ReplaceAll(strings.Join(chain, " imports "), module, ""), a.why))
		}
	}
	return found
}

// refuse says which rule the import of a package by one of ours breaks, "" when it breaks none.
func refuse(name, imported string) string {
	if imported == kernel && name != kernelUser {
		return "only " + kernelUser + " does"
	}
	other, ours := strings.CutPrefix(imported, module)
	if !ours || slices.Contains(beside[name], other) {
		return ""
	}
	if mine, its := layerOf(name), layerOf(other); its >= mine {
		return fmt.Sprintf("layer %d imports only from layers below, and that is layer %d", mine, its)
	}
	return ""
}

// layerOf is the layer of one of our packages, -1 without one.
func layerOf(name string) int {
	return slices.IndexFunc(layers, func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, _ := path.Match(pattern, name)
			return ok
		})
	})
}

// reach is the shortest chain of imports from a package to one that is forbidden to it, nil without one.
func reach(packages map[string]pkg, from string, forbidden func(pkg) bool) []string {
	seen := map[string]bool{from: true}
	for chains := [][]string{{from}}; len(chains) > 0; chains = chains[1:] {
		for _, next := range packages[chains[0][len(chains[0])-1]].Imports {
			if seen[next] {
				continue
			}
			seen[next] = true
			chain := append(slices.Clone(chains[0]), next)
			if p, ok := packages[next]; ok && forbidden(p) {
				return chain
			}
			chains = append(chains, chain)
		}
	}
	return nil
}

func TestViolationsAreSeen(t *testing.T) {
	ours := func(name string, imports ...string) pkg { return pkg{ImportPath: module + name, Imports: imports} }
	for _, c := range []struct {
		name     string
		packages []pkg
		want     []string
	}{
		{"nothing wrong", []pkg{ours("executor", module+"source", "fmt"), ours("handler", module+"directcopy"), ours("internal/sys", kernel)}, nil},
		{"upwards", []pkg{ours("source", module+"executor")},
			[]string{"source imports executor: layer 1 imports only from layers below, and that is layer 2"}},
		{"beside", []pkg{ours("limits", module+"policy")},
			[]string{"limits imports policy: layer 1 imports only from layers below, and that is layer 1"}},
		{"kernel", []pkg{ours("limits", kernel)}, []string{"limits imports golang.org/x/sys/unix: only internal/sys does"}},
		{"new package", []pkg{ours("telemetry")}, []string{"telemetry has no layer: give it one in this test"}},
		{"test help in a program", []pkg{ours("control", module+"internal/aemtest")},
			[]string{"control imports internal/aemtest: layer 1 imports only from layers below, and that is layer 5"}},
		{"dependency of the nouns", []pkg{ours("aem", "example.com/x"), {ImportPath: "example.com/x"}},
			[]string{"aem imports example.com/x: the nouns need the standard library only"}},
		{"large handler", []pkg{ours("handler", module+"control"), ours("control", "net/http"), {ImportPath: "net/http", Standard: true}},
			[]string{"handler imports control imports net/http: handler programs stay small"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := violations(c.packages); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
