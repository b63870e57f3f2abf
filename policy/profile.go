package policy

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Profile is a seccomp profile as it is written: the form of the OCI runtime specification, and what Docker adds to it.
// It is a plain value. Parse, Load, Builtin and FromOCI make one; Resolve says what it comes to on a host, and Compile
// makes the filter.
type Profile struct {
	Name            string // of its file, or of a built-in one
	DefaultAction   specs.LinuxSeccompAction
	DefaultErrnoRet *uint
	Architectures   []specs.Arch
	ArchMap         []Family // Docker's, instead of Architectures
	Flags           []specs.LinuxSeccompFlag
	Rules           []Rule

	// LogOnly denies nothing: what the profile does not allow is recorded and let pass.
	LogOnly bool
}

// Family is an architecture and those that its kernel runs besides.
type Family struct {
	Arch specs.Arch
	Subs []specs.Arch
}

// Rule is one entry of a profile's list, with the conditions that Docker adds.
type Rule struct {
	specs.LinuxSyscall
	Comment            string
	Includes, Excludes Condition

	at string // where it stands, as 12:7: syscalls[3]
}

// FromOCI is the profile that a value of the runtime specification is.
func FromOCI(s *specs.LinuxSeccomp) (*Profile, error) {
	if err := noListener(s.ListenerPath, s.ListenerMetadata); err != nil {
		return nil, fmt.Errorf("read seccomp profile: %v", err)
	}
	p := &Profile{
		DefaultAction: s.DefaultAction, DefaultErrnoRet: s.DefaultErrnoRet, Architectures: s.Architectures, Flags: s.Flags,
	}
	for i, call := range s.Syscalls {
		p.Rules = append(p.Rules, Rule{LinuxSyscall: call, at: rulePath(i)})
	}
	if err := p.judge(); err != nil {
		return nil, fmt.Errorf("read seccomp profile: %v", err)
	}
	return p, nil
}

// OCI is the profile in the form of the runtime specification, which has no conditions: Resolve first.
func (p *Profile) OCI() *specs.LinuxSeccomp {
	s := &specs.LinuxSeccomp{
		DefaultAction: p.DefaultAction, DefaultErrnoRet: p.DefaultErrnoRet, Architectures: p.Architectures, Flags: p.Flags,
	}
	for _, r := range p.Rules {
		s.Syscalls = append(s.Syscalls, r.LinuxSyscall)
	}
	return s
}

// lists reports whether a profile without conditions names an architecture.
func (p *Profile) lists(a Arch) bool { return slices.Contains(p.Architectures, specs.Arch(a.Name())) }

// rulePath is how the key of rule i is called in messages.
func rulePath(i int) string { return fmt.Sprintf("syscalls[%d]", i) }
