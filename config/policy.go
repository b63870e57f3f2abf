package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/policy"
)

// security is what an app's table of policy says of system calls.
type security struct {
	seccomp string
	arches  []string
	mode    string
}

func policyKeys(s *security) []key {
	return []key{
		{"seccomp", profileName(&s.seccomp), policy.Default, "Which system calls its processes may make: `default` (Docker's profile for containers), `handler` (what the SDKs need, and " +
			"no more), `none`, or a file in the form of the OCI runtime specification or of Docker (a path has a slash)."},
		{"seccomp_arches", choices(&s.arches, archWords()...), nil, "Architectures whose programs `default` and `handler` let in beside the machine's own. Default: none."},
		{"mode", choice(&s.mode, []string{"enforce", "log"}), "enforce", "What happens to denied system calls: `log` records them and lets them pass."},
		{"seccomp_ready", later, nil, "A second, tighter filter from readiness on."},
		{"capabilities", later, nil, "Capabilities that are kept."},
		{"namespaces", later, nil, "Namespaces of the app's own."},
		{"read_only", later, nil, "A file system that cannot be written."},
		{"paths", later, nil, "What may be read and written."},
		{"signals", later, nil, "Whom signals may reach."},
	}
}

// furtherArches are the architectures that are never a machine's only one.
var furtherArches = []policy.Arch{policy.X86, policy.X32, policy.ARM}

func archWords() []string {
	words := make([]string, len(furtherArches))
	for i, a := range furtherArches {
		words[i] = a.String()
	}
	return words
}

// profileName is the kind of a built-in profile's name, or of the path of one.
func profileName(p *string) kind {
	words := []string{policy.Default, policy.Handler, "none"}
	k := text(p)
	k.name = list(words) + " or a path"
	k.schema = object{"type": "string", "pattern": "^(" + strings.Join(words, "|") + ")$|/"}
	return k.then(func() error {
		if !slices.Contains(words, *p) && !isPath(*p) {
			return errors.New(`want ` + list(words) + ` or a path with a slash, like "./seccomp.json"`)
		}
		return nil
	})
}

// security reads the profile that an app names.
func (d *decoder) security(a *app) {
	at := a.at + ".policy"
	if a.policy.seccomp == "none" && a.policy.mode == "log" {
		d.errorIn(at, "mode", "mode is log, and with seccomp none there is nothing to record")
	}
	if isPath(a.policy.seccomp) && len(a.policy.arches) > 0 {
		d.errorIn(at, "seccomp_arches", "seccomp_arches is for default and handler: a file names its own")
	}
	p, err := d.profile(a.policy.seccomp, a.policy, policy.Only)
	if err != nil {
		d.errorf(at+".seccomp", "%v", err)
	}
	a.Seccomp = p
}

// profile is the profile of a name, one for all apps that want the same.
func (d *decoder) profile(name string, s security, stage policy.Stage) (*policy.Profile, error) {
	if isPath(name) {
		name = d.absolute(name)
	}
	key := fmt.Sprint(name, s.arches, s.mode, stage)
	if p, ok := d.profiles[key]; ok {
		return p, nil
	}
	p, err := s.load(name, stage)
	if p != nil {
		p.LogOnly = s.mode == "log"
		d.profiles[key] = p
	}
	return p, err
}

// load makes the profile of a name; one that is neither a path nor built in has been told of.
func (s *security) load(name string, stage policy.Stage) (*policy.Profile, error) {
	switch name {
	case policy.Default, policy.Handler:
		var others []policy.Arch
		for _, a := range furtherArches {
			if slices.Contains(s.arches, a.String()) {
				others = append(others, a)
			}
		}
		return policy.Builtin(name, stage, others...)
	}
	if !isPath(name) {
		return nil, nil
	}
	return policy.Load(name)
}
