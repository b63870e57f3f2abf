package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/policy"
)

// security is what an app's table of policy says of system calls.
type security struct {
	seccomp string
	ready   string
	arches  []string
	mode    string
}

func policyKeys(s *security) []key {
	return []key{
		{"seccomp", profileName(&s.seccomp, "none"), policy.Default, "Which system calls its processes may make: `default` (Docker's profile for containers), `handler` (what the SDKs need, and " +
			"no more), `none`, or a file in the form of the OCI runtime specification or of Docker (a path has a slash)."},
		{"seccomp_arches", choices(&s.arches, archWords()...), nil, "Architectures whose programs `default` and `handler` let in beside the machine's own. Default: none."},
		{"mode", choice(&s.mode, []string{"enforce", "log"}), "enforce", "What happens to denied system calls: `log` records them and lets them pass."},
		{"seccomp_ready", profileName(&s.ready), nil, "A second profile, beside the first, from readiness on: `handler`, `default` or a file. For handlers of `direct`, whose SDK installs it."},
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

// profileName is the kind of a built-in profile's name, or of the path of one, or of some more words.
func profileName(p *string, more ...string) kind {
	words := append([]string{policy.Default, policy.Handler}, more...)
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

// security reads the profiles that an app names.
func (d *decoder) security(a *app) {
	at, s := a.at+".policy", &a.policy
	if s.seccomp == "none" && s.ready == "" && s.mode == "log" {
		d.errorIn(at, "mode", "mode is log, and with seccomp none there is nothing to record")
	}
	if len(s.arches) > 0 && (isPath(s.seccomp) || s.seccomp == "none") && (isPath(s.ready) || s.ready == "") {
		d.errorIn(at, "seccomp_arches", "seccomp_arches is for default and handler: a file names its own")
	}
	first := policy.Only
	if s.ready != "" {
		first = policy.First
	}
	a.Seccomp = d.profile(at+".seccomp", s.seccomp, s, first)
	a.SeccompReady = d.profile(at+".seccomp_ready", s.ready, s, policy.Ready)
}

// secondStage refuses handlers that cannot install a second filter.
func (d *decoder) secondStage(a *app) {
	if a.policy.ready == "" {
		return
	}
	for _, h := range a.handlers {
		if h.Agent == executor.Process && h.Handover != executor.Direct {
			d.errorIn(h.at, "handover", "policy.seccomp_ready needs handover direct: a program without our SDK cannot install a second filter")
		}
	}
}

// profile is the profile of a name, one for all apps that want the same.
func (d *decoder) profile(at, name string, s *security, stage policy.Stage) *policy.Profile {
	if isPath(name) {
		name = d.absolute(name)
	}
	key := fmt.Sprint(name, s.arches, s.mode, stage)
	if p, ok := d.profiles[key]; ok {
		return p
	}
	p, err := s.load(name, stage)
	if err != nil {
		d.errorf(at, "%v", err)
	}
	if p != nil {
		p.LogOnly = s.mode == "log"
		d.profiles[key] = p
	}
	return p
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
