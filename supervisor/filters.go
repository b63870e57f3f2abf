package supervisor

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/policy"
)

// filters are the compiled profiles: apps that have the same one share its filter.
type filters map[use]*spawn.Filter

// use is a profile, when its filter is installed, and what the processes keep that it is for: profiles may ask for that.
type use struct {
	profile *policy.Profile
	stage   policy.Stage
	kept    policy.Capabilities
}

// compile makes the filter of a use; nil for no profile.
func (f filters) compile(key use) (*spawn.Filter, error) {
	if key.profile == nil || f[key] != nil {
		return f[key], nil
	}
	host, err := policy.ThisHost(key.kept)
	if err != nil {
		return nil, err
	}
	prog, err := policy.Compile(key.profile, host, key.stage)
	if err != nil {
		return nil, err
	}
	f[key] = &spawn.Filter{Insns: prog.Insns, Flags: prog.Flags}
	return f[key], nil
}

// of makes what the processes of an app begin under, and what its handlers install when they are ready.
func (f filters) of(spec *App) (first, second *spawn.Filter, err error) {
	stage := policy.Only
	if spec.SeccompReady != nil {
		stage = policy.First
	}
	kept := spec.Confinement.Capabilities
	if first, err = f.compile(use{spec.Seccomp, stage, kept}); err != nil {
		return nil, nil, placed(err, "app", spec.Name, "policy.seccomp")
	}
	if second, err = f.compile(use{spec.SeccompReady, policy.Ready, kept}); err != nil {
		return nil, nil, placed(err, "app", spec.Name, "policy.seccomp_ready")
	}
	return first, second, nil
}

// reportTrouble says at start what a policy will not tell on this host.
func (s *Supervisor) reportTrouble(a *app) {
	p, name := a.spec.Seccomp, a.spec.Name
	for _, logged := range []*policy.Profile{p, a.spec.SeccompReady} {
		if logged != nil && logged.LogOnly {
			s.log.Warn("policy.mode is log: no system call is denied", "app", name)
			break
		}
	}
	if a.unseen != nil {
		s.log.Warn("system calls that the policy has recorded are in the kernel's audit log only", "app", name, "why", a.unseen)
	}
	switch {
	case p == nil || p.LogOnly || !ends(p, specs.ActKill, specs.ActKillThread, specs.ActKillProcess, specs.ActTrap):
	case s.denials.why != "":
		s.log.Warn("denied system calls will be syscall=unknown", "app", name, "why", s.denials.why)
	case ends(p, specs.ActTrap) && !hasFlag(p, specs.LinuxSeccompFlagLog):
		s.log.Warn("denied system calls will be syscall=unknown", "app", name,
			"why", "SCMP_ACT_TRAP leaves a record only with the flag SECCOMP_FILTER_FLAG_LOG")
	}
}

func hasFlag(p *policy.Profile, f specs.LinuxSeccompFlag) bool { return slices.Contains(p.Flags, f) }

// ends reports whether a profile has one of some actions.
func ends(p *policy.Profile, actions ...specs.LinuxSeccompAction) bool {
	return slices.Contains(actions, p.DefaultAction) ||
		slices.ContainsFunc(p.Rules, func(r policy.Rule) bool { return slices.Contains(actions, r.Action) })
}
