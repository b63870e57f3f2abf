package policy

import "github.com/aem-exec/aem-exec/internal/sys"

// Arch is a system call interface: a set of numbers and the width of its arguments. One kernel has several.
type Arch uint8

// The architectures whose system calls are known.
const (
	X86_64 Arch = iota
	X86
	X32
	AArch64
	ARM
	archs // how many
)

// archInfo says how an architecture is called in profiles and by the kernel.
var archInfo = [archs]struct {
	name  string
	scmp  string // the profile's word, libseccomp's
	audit uint32 // seccomp_data.arch
	base  uint32 // added to the numbers of the table
	wide  bool   // arguments have 64 bits
}{
	X86_64:  {name: "x86_64", scmp: "SCMP_ARCH_X86_64", audit: sys.AUDIT_ARCH_X86_64, wide: true},
	X86:     {name: "x86", scmp: "SCMP_ARCH_X86", audit: sys.AUDIT_ARCH_I386},
	X32:     {name: "x32", scmp: "SCMP_ARCH_X32", audit: sys.AUDIT_ARCH_X86_64, base: sys.X32_SYSCALL_BIT},
	AArch64: {name: "aarch64", scmp: "SCMP_ARCH_AARCH64", audit: sys.AUDIT_ARCH_AARCH64, wide: true},
	ARM:     {name: "arm", scmp: "SCMP_ARCH_ARM", audit: sys.AUDIT_ARCH_ARM},
}

// kernels are the architectures that a kernel may be of, and those whose programs it runs besides its own.
var kernels = map[Arch][]Arch{X86_64: {X86, X32}, AArch64: {ARM}}

// ArchByName returns the architecture a profile means by an SCMP_ARCH_* word.
func ArchByName(scmp string) (Arch, bool) {
	for a, info := range archInfo {
		if info.scmp == scmp {
			return Arch(a), true
		}
	}
	return 0, false
}

// ArchOf returns the architecture of a system call as the kernel reports it in an audit record or a SIGSYS: x32 and
// x86_64 have the same AUDIT_ARCH value and differ in a bit of the number.
func ArchOf(audit uint32, nr int) (Arch, bool) {
	if audit == sys.AUDIT_ARCH_X86_64 && uint32(nr)&sys.X32_SYSCALL_BIT != 0 {
		return X32, true
	}
	for a, info := range archInfo {
		if info.audit == audit {
			return Arch(a), true
		}
	}
	return 0, false
}

// Audit returns the AUDIT_ARCH_* value of a.
func (a Arch) Audit() uint32 { return archInfo[a].audit }

// Name returns the SCMP_ARCH_* word of a.
func (a Arch) Name() string { return archInfo[a].scmp }

func (a Arch) String() string { return archInfo[a].name }
