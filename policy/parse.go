package policy

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/strict"
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
	r := strict.NewReader(data)
	p := new(Profile)
	err := r.Document(profileFields(p))
	for i := range p.Rules {
		rule := &p.Rules[i]
		rule.at = rulePath(i)
		line, column := r.Place(strict.Mistaken(rule.at, ""))
		rule.at = fmt.Sprintf("%d:%d: %s", line, column, rule.at)
	}
	if err == nil {
		err = p.judge()
	}
	if m := (*strict.Mistake)(nil); errors.As(err, &m) {
		line, column := r.Place(m)
		err = fmt.Errorf("%d:%d: %v", line, column, m)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func profileFields(p *Profile) strict.Value {
	return strict.Object(map[string]strict.Value{
		"defaultAction":    strict.Text(&p.DefaultAction),
		"defaultErrnoRet":  strict.Optional(&p.DefaultErrnoRet, strict.Integer),
		"architectures":    strict.List(&p.Architectures, strict.Text),
		"archMap":          strict.List(&p.ArchMap, familyFields),
		"flags":            strict.List(&p.Flags, strict.Text),
		"listenerPath":     listener,
		"listenerMetadata": listener,
		"syscalls":         strict.List(&p.Rules, ruleFields),
	})
}

// listener reads a text that only a listener would have a use for.
func listener(r *strict.Reader, path string) error {
	var s string
	if err := strict.Text(&s)(r, path); err != nil || s == "" {
		return err
	}
	return strict.Mistaken(path, unheard)
}

func familyFields(f *Family) strict.Value {
	return strict.Object(map[string]strict.Value{
		"architecture":     strict.Text(&f.Arch),
		"subArchitectures": strict.List(&f.Subs, strict.Text),
	})
}

func ruleFields(s *Rule) strict.Value {
	return strict.Object(map[string]strict.Value{
		"names":    alone(&s.Names, "name", strict.List(&s.Names, strict.Text)),
		"name":     alone(&s.Names, "names", only(&s.Names)),
		"action":   strict.Text(&s.Action),
		"errnoRet": strict.Optional(&s.ErrnoRet, strict.Integer),
		"args":     strict.List(&s.Args, argFields),
		"comment":  strict.Text(&s.Comment),
		"includes": conditionFields(&s.Includes),
		"excludes": conditionFields(&s.Excludes),
	})
}

// only reads a single name, as Docker's profiles were once written.
func only(names *[]string) strict.Value {
	return func(r *strict.Reader, path string) error {
		*names = make([]string, 1)
		return strict.Text(&(*names)[0])(r, path)
	}
}

// alone refuses what another key has been read into already.
func alone(names *[]string, other string, read strict.Value) strict.Value {
	return func(r *strict.Reader, path string) error {
		if len(*names) > 0 {
			return r.Here(path, "beside "+other+": want one of the two")
		}
		return read(r, path)
	}
}

func conditionFields(c *Condition) strict.Value {
	return strict.Object(map[string]strict.Value{
		"caps":      strict.List(&c.Caps, strict.Text),
		"arches":    strict.List(&c.Arches, strict.Text),
		"minKernel": kernelVersion(&c.MinKernel),
	})
}

func kernelVersion(k *Kernel) strict.Value {
	return func(r *strict.Reader, path string) error {
		var s string
		err := strict.Text(&s)(r, path)
		if err != nil || s == "" {
			return err
		}
		if *k, err = parseKernel(s); err != nil {
			return strict.Mistaken(path, "%v", err)
		}
		return nil
	}
}

func argFields(a *specs.LinuxSeccompArg) strict.Value {
	return strict.Object(map[string]strict.Value{
		"index":    strict.Integer(&a.Index),
		"value":    strict.Integer(&a.Value),
		"valueTwo": strict.Integer(&a.ValueTwo),
		"op":       strict.Text(&a.Op),
	})
}
