package policy

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Load reads a profile from a file. Errors say where: "web.json:12:7: syscalls[3].args[0].op: unknown operator ...".
func Load(file string) (*specs.LinuxSeccomp, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read seccomp profile: %w", err)
	}
	p, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%v", file, err)
	}
	return p, nil
}

// Parse reads a profile in the JSON form of the OCI runtime specification and checks it. It is strict: keys it does
// not know, repeated keys and other types than the specification's are mistakes. Errors begin with line:column.
func Parse(data []byte) (*specs.LinuxSeccomp, error) {
	r := newReader(data)
	p := new(specs.LinuxSeccomp)
	err := r.document(profileFields(p))
	if err == nil {
		err = check(p)
	}
	if m := (*mistake)(nil); errors.As(err, &m) {
		line, column := r.place(m)
		return nil, fmt.Errorf("%d:%d: %v", line, column, m)
	}
	return p, err
}

func profileFields(p *specs.LinuxSeccomp) value {
	return object(map[string]value{
		"defaultAction":    text(&p.DefaultAction),
		"defaultErrnoRet":  optional(&p.DefaultErrnoRet, integer),
		"architectures":    list(&p.Architectures, text),
		"flags":            list(&p.Flags, text),
		"listenerPath":     text(&p.ListenerPath),
		"listenerMetadata": text(&p.ListenerMetadata),
		"syscalls":         list(&p.Syscalls, syscallFields),
	})
}

func syscallFields(s *specs.LinuxSyscall) value {
	return object(map[string]value{
		"names":    list(&s.Names, text),
		"action":   text(&s.Action),
		"errnoRet": optional(&s.ErrnoRet, integer),
		"args":     list(&s.Args, argFields),
	})
}

func argFields(a *specs.LinuxSeccompArg) value {
	return object(map[string]value{
		"index":    integer(&a.Index),
		"value":    integer(&a.Value),
		"valueTwo": integer(&a.ValueTwo),
		"op":       text(&a.Op),
	})
}

// mistake is what is wrong with a profile, and at which value of it.
type mistake struct {
	path   string // as in syscalls[3].args[0].op; empty for the whole
	offset int    // in the text, -1: where path is
	text   string
}

func mistaken(path, format string, args ...any) *mistake {
	return &mistake{path: path, offset: -1, text: fmt.Sprintf(format, args...)}
}

func (m *mistake) Error() string {
	if m.path == "" {
		return m.text
	}
	return m.path + ": " + m.text
}

// parent returns the path of the value that holds the one of path: the place of what is missing.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
