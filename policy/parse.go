package policy

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Load reads a profile from a file. Errors say where: "web.json:12:7: syscalls[3].args[0].op: unknown operator ...".
func Load(file string) (*Profile, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read seccomp profile: %w", err)
	}
	p, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%v", file, err)
	}
	p.Name = file
	return p, nil
}

// Parse reads a profile in the JSON form of the OCI runtime specification, or of Docker, and checks it. It is strict:
// keys it does not know, repeated keys, other types than theirs, and rules that contradict each other are mistakes.
// Errors begin with line:column.
func Parse(data []byte) (*Profile, error) {
	r := newReader(data)
	p := new(Profile)
	err := r.document(profileFields(p))
	for i := range p.Rules {
		rule := &p.Rules[i]
		rule.at = rulePath(i)
		line, column := r.place(mistaken(rule.at, ""))
		rule.at = fmt.Sprintf("%d:%d: %s", line, column, rule.at)
	}
	if err == nil {
		err = p.judge()
	}
	if m := (*mistake)(nil); errors.As(err, &m) {
		line, column := r.place(m)
		err = fmt.Errorf("%d:%d: %v", line, column, m)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func profileFields(p *Profile) value {
	return object(map[string]value{
		"defaultAction":    text(&p.DefaultAction),
		"defaultErrnoRet":  optional(&p.DefaultErrnoRet, integer),
		"architectures":    list(&p.Architectures, text),
		"archMap":          list(&p.ArchMap, familyFields),
		"flags":            list(&p.Flags, text),
		"listenerPath":     listener,
		"listenerMetadata": listener,
		"syscalls":         list(&p.Rules, ruleFields),
	})
}

// listener reads a text that only a listener would have a use for.
func listener(r *reader, path string) error {
	var s string
	if err := text(&s)(r, path); err != nil || s == "" {
		return err
	}
	return mistaken(path, unheard)
}

func familyFields(f *Family) value {
	return object(map[string]value{
		"architecture":     text(&f.Arch),
		"subArchitectures": list(&f.Subs, text),
	})
}

func ruleFields(s *Rule) value {
	return object(map[string]value{
		"names":    alone(&s.Names, "name", list(&s.Names, text)),
		"name":     alone(&s.Names, "names", only(&s.Names)),
		"action":   text(&s.Action),
		"errnoRet": optional(&s.ErrnoRet, integer),
		"args":     list(&s.Args, argFields),
		"comment":  text(&s.Comment),
		"includes": conditionFields(&s.Includes),
		"excludes": conditionFields(&s.Excludes),
	})
}

// only reads a single name, as Docker's profiles were once written.
func only(names *[]string) value {
	return func(r *reader, path string) error {
		*names = make([]string, 1)
		return text(&(*names)[0])(r, path)
	}
}

// alone refuses what another key has been read into already.
func alone(names *[]string, other string, read value) value {
	return func(r *reader, path string) error {
		if len(*names) > 0 {
			return &mistake{path, r.next(), "beside " + other + ": want one of the two"}
		}
		return read(r, path)
	}
}

func conditionFields(c *Condition) value {
	return object(map[string]value{
		"caps":      list(&c.Caps, text),
		"arches":    list(&c.Arches, text),
		"minKernel": kernelVersion(&c.MinKernel),
	})
}

func kernelVersion(k *Kernel) value {
	return func(r *reader, path string) error {
		var s string
		err := text(&s)(r, path)
		if err != nil || s == "" {
			return err
		}
		if *k, err = parseKernel(s); err != nil {
			return mistaken(path, "%v", err)
		}
		return nil
	}
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
