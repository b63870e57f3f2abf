// Package libseccomp asks the C library of that name what it makes of a profile, as runc would: tests and benchmarks
// compare with it. It is a C program, compiled where it is needed, so that nothing else is linked with C.
//
// It does not judge profiles, and it is no part of the program.
package libseccomp

import (
	_ "embed" // the program
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

//go:embed testdata/libseccomp.c
var source []byte

// Missing says what of the host is missing, nil if the program can be made: a C compiler and libseccomp's header.
func Missing() error {
	if _, err := exec.LookPath("cc"); err != nil {
		return err
	}
	_, err := os.Stat("/usr/include/seccomp.h")
	return err
}

// Build makes the program in a directory. libseccomp.c says how it is used.
func Build(dir string) (program string, err error) {
	program = filepath.Join(dir, "libseccomp")
	file := program + ".c"
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return "", err
	}
	text, err := exec.Command("cc", "-O2", "-Wall", "-Werror", "-o", program, file, "-lseccomp").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile libseccomp.c: %w: %s", err, text)
	}
	return program, nil
}

// answers are the numbers of actions (SCMP_ACT_* in seccomp.h).
var answers = map[specs.LinuxSeccompAction]uint32{
	specs.ActKill: 0, specs.ActKillThread: 0, specs.ActKillProcess: 0x8000_0000, specs.ActTrap: 0x0003_0000,
	specs.ActErrno: 0x0005_0000, specs.ActTrace: 0x7ff0_0000, specs.ActLog: 0x7ffc_0000, specs.ActAllow: 0x7fff_0000,
}

func answer(a specs.LinuxSeccompAction, errno *uint) uint32 {
	switch {
	case a != specs.ActErrno && a != specs.ActTrace:
		return answers[a]
	case errno == nil:
		return answers[a] | 1 // EPERM
	}
	return answers[a] | uint32(*errno)
}

// Optimize is a level of libseccomp's: how it finds a number.
type Optimize int

// The levels.
const (
	InOrder    Optimize = 1 // its default
	BinaryTree Optimize = 2
)

// Words writes a profile as the program reads it, in the way of runc: rules that say what the default says are left out,
// and an argument that is tested twice makes a rule of each test. Architectures are named as libseccomp does: x86_64, x86,
// x32, aarch64, arm.
func Words(p *specs.LinuxSeccomp, level Optimize, native string, others ...string) string {
	var b strings.Builder
	otherwise := answer(p.DefaultAction, p.DefaultErrnoRet)
	fmt.Fprintf(&b, "default %d\noptimize %d\nnative %s\n", otherwise, level, native)
	for _, a := range others {
		fmt.Fprintf(&b, "arch %s\n", a)
	}
	for _, s := range p.Syscalls {
		action := answer(s.Action, s.ErrnoRet)
		if action == otherwise {
			continue
		}
		for _, name := range s.Names {
			for _, args := range alternatives(s.Args) {
				fmt.Fprintf(&b, "rule %d %s%s\n", action, name, args)
			}
		}
	}
	return b.String()
}

// alternatives writes arguments in one line, or each in its own.
func alternatives(args []specs.LinuxSeccompArg) []string {
	all, twice := "", false
	var each []string
	seen := map[uint]bool{}
	for _, a := range args {
		text := fmt.Sprintf(" %d %s %d %d", a.Index, strings.TrimPrefix(string(a.Op), "SCMP_CMP_"), a.Value, a.ValueTwo)
		all += text
		each = append(each, text)
		twice = twice || seen[a.Index]
		seen[a.Index] = true
	}
	if twice {
		return each
	}
	return []string{all}
}
