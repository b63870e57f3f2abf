package policy

import (
	_ "embed" // the profiles
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The profiles that have a name.
const (
	Default = "default" // Docker's, for containers
	Handler = "handler" // what a handler of the SDKs needs, and no more
)

var (
	//go:embed profiles/default.json
	defaultProfile []byte
	//go:embed profiles/handler.json
	handlerProfile []byte
	//go:embed profiles/handler-start.json
	handlerStart []byte
)

// Shielded are the calls that no built-in profile lets pass, whatever else it says: they are for looking into other
// processes, as other handlers of the same user and, for one of its own user, the supervisor; or for holding up who
// copies into one's memory.
var Shielded = []struct{ Call, Why string }{
	{"ptrace", "reads and changes another process"},
	{"process_vm_readv", "reads another process's memory"},
	{"process_vm_writev", "writes into another process's memory"},
	{"pidfd_getfd", "takes another process's descriptors"},
	{"kcmp", "tells what two other processes share"},
	{"userfaultfd", "holds back pages of its own memory, and who writes there"},
}

// Builtin is the profile of a name for a stage. It lets in programs of the machine's own architecture, and of others.
func Builtin(name string, s Stage, others ...Arch) (*Profile, error) {
	var p *Profile
	switch name {
	case Default:
		p = embedded(defaultProfile)
		p.ArchMap = nil
	case Handler:
		p = embedded(handlerProfile)
		if s != Ready {
			p.Rules = append(p.Rules, embedded(handlerStart).Rules...)
		}
	default:
		return nil, fmt.Errorf("no seccomp profile %q (%s, %s)", name, Default, Handler)
	}
	p.Name = name
	for _, a := range others {
		p.Architectures = append(p.Architectures, specs.Arch(a.Name()))
	}
	for i := range p.Rules {
		p.Rules[i].Names = slices.DeleteFunc(p.Rules[i].Names, shielded)
	}
	p.Rules = slices.DeleteFunc(p.Rules, func(r Rule) bool { return len(r.Names) == 0 })
	return p, nil
}

func shielded(call string) bool {
	for _, s := range Shielded {
		if s.Call == call {
			return true
		}
	}
	return false
}

func embedded(text []byte) *Profile {
	p, err := Parse(text)
	if err != nil {
		panic("aem: internal error: built-in seccomp profile: " + err.Error())
	}
	return p
}
