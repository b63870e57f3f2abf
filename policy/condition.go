package policy

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Host is what conditions of a profile ask about.
type Host struct {
	Arch   Arch // of the kernel
	Kernel Kernel
	Caps   []string // of the processes that the filter is for, as CAP_SYS_ADMIN
}

// ThisHost is the machine that we run on, for processes that keep some capabilities.
func ThisHost(kept Capabilities) (Host, error) {
	release, err := sys.KernelRelease()
	if err != nil {
		return Host{}, fmt.Errorf("find out the kernel's version: %w", err)
	}
	k, err := parseRelease(release)
	h := Host{Arch: Native(), Kernel: k}
	for _, name := range kept.Names() {
		h.Caps = append(h.Caps, "CAP_"+strings.ToUpper(name))
	}
	return h, err
}

// Kernel is a version of Linux: 6.1 is {6, 1}.
type Kernel struct{ Major, Minor int }

// parseKernel reads what a profile writes, as 4.8.
func parseKernel(s string) (Kernel, error) {
	major, minor, _ := strings.Cut(s, ".")
	ma, err1 := strconv.ParseUint(major, 10, 16)
	mi, err2 := strconv.ParseUint(minor, 10, 16)
	if err1 != nil || err2 != nil {
		return Kernel{}, fmt.Errorf("want a kernel's version like 4.8, not %q", s)
	}
	return Kernel{int(ma), int(mi)}, nil
}

// parseRelease reads what the kernel calls itself, as 6.18.44-fc or 6.1-rc3.
func parseRelease(s string) (Kernel, error) {
	number := func(r rune) bool { return r != '.' && (r < '0' || r > '9') }
	plain, _, _ := strings.Cut(s, "-")
	if i := strings.IndexFunc(plain, number); i >= 0 {
		plain = plain[:i]
	}
	parts := strings.SplitN(plain, ".", 3)
	return parseKernel(strings.Join(parts[:min(2, len(parts))], "."))
}

func (k Kernel) String() string { return fmt.Sprintf("%d.%d", k.Major, k.Minor) }

func (k Kernel) less(than Kernel) bool {
	return k.Major < than.Major || k.Major == than.Major && k.Minor < than.Minor
}

// Condition is what Docker's includes and excludes say. The zero Condition says nothing.
type Condition struct {
	Caps      []string // all that the process has
	Arches    []string // one of them is the kernel's, in Docker's words: amd64, arm64
	MinKernel Kernel   // this or a later one
}

// dockerArches are the words for architectures that Docker's profiles use. Those of kernels that this program runs on
// are the names that Go has for them; the others are never ours.
var dockerArches = []string{
	"x86", "amd64", "x32", "arm", "arm64", "loongarch64", "mips64", "mips64n32", "mipsel64", "mips3l64n32", "mipsel",
	"ppc", "ppc64", "ppc64le", "riscv64", "s390", "s390x",
}

var dockerArch = map[Arch]string{X86_64: "amd64", AArch64: "arm64"}

// includes reports whether all that c asks for is there.
func (c *Condition) includes(h Host) bool {
	lacks := func(name string) bool { return !slices.Contains(h.Caps, name) }
	return !slices.ContainsFunc(c.Caps, lacks) &&
		(len(c.Arches) == 0 || slices.Contains(c.Arches, dockerArch[h.Arch])) && !h.Kernel.less(c.MinKernel)
}

// excludes reports whether anything that c names is there.
func (c *Condition) excludes(h Host) bool {
	has := func(name string) bool { return slices.Contains(h.Caps, name) }
	return slices.ContainsFunc(c.Caps, has) || slices.Contains(c.Arches, dockerArch[h.Arch]) ||
		c.MinKernel != (Kernel{}) && !h.Kernel.less(c.MinKernel)
}

func (c *Condition) empty() bool { return len(c.Caps)+len(c.Arches) == 0 && c.MinKernel == (Kernel{}) }

// Resolve is the profile on a host: without conditions and the rules that they leave out, and with the architectures of
// the host's own family.
func (p *Profile) Resolve(h Host) *Profile {
	r := *p
	r.Rules, r.ArchMap = nil, nil
	for _, rule := range p.Rules {
		if !rule.Excludes.excludes(h) && rule.Includes.includes(h) {
			rule.Includes, rule.Excludes = Condition{}, Condition{}
			r.Rules = append(r.Rules, rule)
		}
	}
	for _, f := range p.ArchMap {
		if f.Arch == specs.Arch(h.Arch.Name()) {
			r.Architectures = append([]specs.Arch{f.Arch}, f.Subs...)
			break
		}
	}
	return &r
}

// unconditional is the part of a profile that holds on every host.
func (p *Profile) unconditional() *Profile {
	r := *p
	r.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(rule Rule) bool {
		return !rule.Includes.empty() || !rule.Excludes.empty()
	})
	return &r
}

// Native returns the architecture of this program.
func Native() Arch {
	if runtime.GOARCH == "arm64" {
		return AArch64
	}
	return X86_64
}
