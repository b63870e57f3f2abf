package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Confinement is what an app's processes may reach, beside their user and their system calls: a plain value. The zero
// value keeps no capability and otherwise takes nothing away but, from handlers of root, what RootNamespaces gives.
type Confinement struct {
	Capabilities Capabilities // kept
	Namespaces   []Namespace  // of the app's own; nil: RootNamespaces for handlers of root, and none for others
	ReadOnly     bool         // nothing can be written, but at Paths.Write; brings a mount namespace
	Paths        *Paths       // nil: all of them
	Signals      Signals
}

// Paths are where files may be reached: at these and beneath. The program itself and /dev/null can always be.
type Paths struct {
	Read  []string // read and executed; nil: everywhere
	Write []string // everything; elsewhere nothing can be written
}

// Signals is whom a process may send signals to.
type Signals string

// Whom it may.
const (
	AnySignals Signals = "any" // whom the kernel lets it
	OwnSignals Signals = "own" // itself and its descendants
)

// Namespace is a kind of namespaces, man 7 namespaces.
type Namespace string

var namespaces = map[Namespace]uint64{
	"mount": sys.CLONE_NEWNS, "pid": sys.CLONE_NEWPID, "net": sys.CLONE_NEWNET, "ipc": sys.CLONE_NEWIPC,
	"uts": sys.CLONE_NEWUTS, "user": sys.CLONE_NEWUSER,
}

// Namespaces are all kinds.
func Namespaces() []Namespace { return []Namespace{"mount", "pid", "net", "ipc", "uts", "user"} }

// RootNamespaces are what handlers of root have unless their app says something else: without them a process of root
// leaves its cgroup, and ends processes of the host.
func RootNamespaces() []Namespace { return []Namespace{"mount", "pid"} }

// Kinds are the kinds of namespaces that the app's processes have for themselves; root says that they run as root, and may
// have some that the app did not name.
func (c *Confinement) Kinds(root bool) (kinds []Namespace) {
	asked := c.Namespaces
	if asked == nil && root {
		asked = RootNamespaces()
	}
	for _, n := range Namespaces() {
		if slices.Contains(asked, n) || n == "mount" && c.ReadOnly {
			kinds = append(kinds, n)
		}
	}
	return kinds
}

// Flags are kinds of namespaces as clone3 takes them.
func Flags(kinds []Namespace) (flags uint64) {
	for _, n := range kinds {
		flags |= namespaces[n]
	}
	return flags
}

// Capabilities is a set of them: bit n is capability n.
type Capabilities uint64

// CapabilityNames are the names of all capabilities.
func CapabilityNames() []string { return sys.CapabilityNames() }

// ParseCapability is the set of one capability, by its name of man 7 capabilities: in small letters without CAP_, or as
// it stands there.
func ParseCapability(name string) (Capabilities, error) {
	short := strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	if n := slices.Index(sys.CapabilityNames(), short); n >= 0 {
		return 1 << n, nil
	}
	return 0, fmt.Errorf("%q is no capability", name)
}

// Names are the names of the set's capabilities.
func (c Capabilities) Names() []string {
	names := []string{}
	for n := range 64 {
		if c&(1<<n) != 0 {
			names = append(names, sys.CapabilityName(n))
		}
	}
	return names
}
