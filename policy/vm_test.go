package policy

import (
	"encoding/binary"

	"golang.org/x/net/bpf"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// call is a system call as a filter sees it (struct seccomp_data).
type call struct {
	audit uint32
	nr    uint32
	args  [argsMax]uint64
}

// tester is a testing.TB or a rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// callOf is the call of a name on an architecture.
func callOf(t tester, a Arch, name string, args ...uint64) call {
	t.Helper()
	nr, ok := SyscallNumber(a, name)
	if !ok {
		t.Fatalf("%v has no %s", a, name)
	}
	c := call{audit: a.Audit(), nr: uint32(nr)}
	copy(c.args[:], args)
	return c
}

// data is c as the VM wants it: classic BPF loads words in network order, where seccomp loads the host's.
func (c call) data() []byte {
	words := []uint32{c.nr, c.audit, 0, 0}
	for _, a := range c.args {
		words = append(words, uint32(a), uint32(a>>32))
	}
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// machine is a program loaded to be run without the kernel.
func machine(t tester, p *Program) *bpf.VM {
	t.Helper()
	validate(t, p)
	raw := make([]bpf.RawInstruction, len(p.Insns))
	for i, in := range p.Insns {
		raw[i] = bpf.RawInstruction{Op: in.Code, Jt: in.JT, Jf: in.JF, K: in.K}
	}
	insns, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program has instructions that cannot be read back")
	}
	vm, err := bpf.NewVM(insns)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func run(t tester, vm *bpf.VM, c call) uint32 {
	t.Helper()
	answer, err := vm.Run(c.data())
	if err != nil {
		t.Fatalf("run %+v: %v", c, err)
	}
	return uint32(answer)
}

// validate holds a program to what the kernel asks of one (kernel/seccomp.c, seccomp_check_filter): short enough,
// aligned loads inside seccomp_data, jumps inside the program, and nothing that runs off its end.
func validate(t tester, p *Program) {
	t.Helper()
	const dataSize = 64
	if len(p.Insns) == 0 || len(p.Insns) > sys.BPF_MAXINSNS {
		t.Fatalf("%d instructions", len(p.Insns))
	}
	const load, and, ja, jeq, jgt, jge, ret = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06
	for i, in := range p.Insns {
		left := len(p.Insns) - i - 1
		switch in.Code {
		case load:
			if in.K%4 != 0 || in.K >= dataSize {
				t.Fatalf("instruction %d loads from offset %d", i, in.K)
			}
		case jeq, jgt, jge:
			if max(int(in.JT), int(in.JF)) >= left {
				t.Fatalf("instruction %d jumps out of the program", i)
			}
		case ja:
			if int(in.K) >= left {
				t.Fatalf("instruction %d jumps out of the program", i)
			}
		case and, ret:
		default:
			t.Fatalf("instruction %d has code %#x", i, in.Code)
		}
	}
	if p.Insns[len(p.Insns)-1].Code != ret {
		t.Fatal("the program does not end with an answer")
	}
}
