// Package filter judges events by an expression on their facts and data, as `size > 0 && peer startsWith "10."`.
//
// It is bounded: in the length and the parts of an expression, in the memory that one judgement may use, and in the
// data that is looked into. There are no loops. It knows nothing of jobs, and detects nothing.
package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/aem-exec/aem-exec/aem"
)

const (
	maxTextBytes = 4096     // of an expression
	maxNodes     = 200      // its operators, names and values
	maxMemory    = 10_000   // values that one judgement may make
	maxDataBytes = 64 << 10 // of data that is looked into; longer data has no fields
)

// functions are those that an expression may call: none that goes through a list, so that none takes long.
var functions = []string{"len", "abs", "int", "float", "string", "trim", "upper", "lower", "indexOf", "now", "duration", "date"}

// Common are the names that there are for every type of event, beside its own facts.
var Common = map[string]string{
	"count": "arrivals in it",
	"time":  "when it was detected",
	"size":  "bytes of data",
	"text":  "the data as text",
	"data":  "the data's fields, where it is a JSON object",
}

// Filter is a compiled expression. It has one owner.
type Filter struct {
	text    string
	program *vm.Program
	machine vm.VM
	uses    []string // names in it
	loops   bool     // it goes through a list
	env     map[string]any
}

// Compile reads an expression about events that have these facts.
func Compile(text string, facts map[string]aem.FactKind) (*Filter, error) {
	if len(text) > maxTextBytes {
		return nil, fmt.Errorf("the expression is longer than %d bytes", maxTextBytes)
	}
	f := &Filter{text: text, env: map[string]any{}, machine: vm.VM{MemoryBudget: maxMemory}}
	options := []expr.Option{expr.Env(sample(facts)), expr.AsBool(), expr.MaxNodes(maxNodes), expr.Patch(f), expr.DisableAllBuiltins()}
	for _, name := range functions {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(text, options...)
	if err != nil {
		return nil, plain(err)
	}
	if f.loops {
		return nil, errors.New("there are no loops: it may not ask something of each item of a list")
	}
	f.program = program
	return f, nil
}

// sample is an event's names with values of their types.
func sample(facts map[string]aem.FactKind) map[string]any {
	env := map[string]any{"count": 0, "time": time.Time{}, "size": 0, "text": "", "data": map[string]any{}}
	for name, kind := range facts {
		env[name] = map[aem.FactKind]any{aem.FactText: "", aem.FactNumber: 0, aem.FactTime: time.Time{}}[kind]
	}
	return env
}

// plain is what is wrong in one line: the compiler adds the text and an arrow below it.
func plain(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

// Visit notes what is in the expression, for the compiler.
func (f *Filter) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		f.loops = true
	case *ast.IdentifierNode:
		if !slices.Contains(f.uses, n.Value) {
			f.uses = append(f.uses, n.Value)
		}
	}
}

// String is the expression; that of no filter is empty.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// Match judges an event. An error says that it cannot be judged: what the expression asks of its data is not there, or
// it takes too much memory.
func (f *Filter) Match(e *aem.Event) (bool, error) {
	for _, name := range f.uses {
		f.env[name] = value(e, name)
	}
	out, err := f.machine.Run(f.program, f.env)
	if err != nil {
		return false, fmt.Errorf("judge event by %q: %w", f.text, plain(err))
	}
	matched, ok := out.(bool)
	if !ok { // the compiler has seen to that, but for fields of data
		return false, fmt.Errorf("judge event by %q: it is %T, and neither true nor false", f.text, out)
	}
	return matched, nil
}

// value is what a name means for an event. A fact that it does not have is empty.
func value(e *aem.Event, name string) any {
	switch name {
	case "count":
		return int(e.Count)
	case "time":
		return e.Time
	case "size":
		return len(e.Data)
	case "text":
		return string(e.Data)
	case "data":
		return fields(e.Data)
	}
	for i := range e.Facts {
		f := &e.Facts[i]
		if f.Name != name {
			continue
		}
		switch f.Kind {
		case aem.FactNumber:
			return int(f.Number)
		case aem.FactTime:
			return time.Unix(0, f.Number)
		}
		return f.Value
	}
	return nil
}

// fields are those of data that is a JSON object.
func fields(data []byte) map[string]any {
	var object map[string]any
	if len(data) <= maxDataBytes && json.Unmarshal(data, &object) == nil && object != nil {
		return object
	}
	return map[string]any{}
}
