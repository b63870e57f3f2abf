package spawn

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// initCode is the machine code of the init, and what happens to lie behind it (init_*.s).
func initCode() *[initCodeSize]byte

// initCodeSize is more than the init's instructions take on any architecture.
const initCodeSize = 64

// initMachine is e_machine of an ELF file, linux/elf-em.h.
var initMachine = map[string]uint16{"amd64": 62, "arm64": 183}

// The parts of an ELF file of 64 bits, man 5 elf.
const (
	elfHeaderSize  = 64
	elfProgramSize = 56
	elfCode        = elfHeaderSize + elfProgramSize
	elfAddress     = 0x400000 // where it is loaded; a multiple of the largest page
)

// initProgram is the init as an executable: headers, and the code behind them. It needs no library and no stack beyond
// what it is started with, and takes a few pages.
func initProgram(machine uint16) []byte {
	le := binary.LittleEndian
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	b = le.AppendUint16(b, 2) // ET_EXEC
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)                  // EV_CURRENT
	b = le.AppendUint64(b, elfAddress+elfCode) // e_entry
	b = le.AppendUint64(b, elfHeaderSize)      // e_phoff
	b = le.AppendUint64(b, 0)                  // e_shoff
	b = le.AppendUint32(b, 0)                  // e_flags
	for _, n := range []uint16{elfHeaderSize, elfProgramSize, 1, 0, 0, 0} {
		b = le.AppendUint16(b, n) // sizes and numbers of headers
	}
	b = le.AppendUint32(b, 1)   // PT_LOAD
	b = le.AppendUint32(b, 4|1) // PF_R, PF_X
	const size = elfCode + initCodeSize
	for _, n := range []uint64{0, elfAddress, elfAddress, size, size, 0x10000} {
		b = le.AppendUint64(b, n) // offset, addresses, sizes, alignment
	}
	return append(b, initCode()[:]...)
}

// initFile is a file in memory with the init; the caller closes it.
func initFile() (int, error) {
	fd, err := sys.MemfdExecutable("aem-init")
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err := sys.WriteAt(fd, initProgram(initMachine[runtime.GOARCH])); err != nil {
		sys.Close(fd)
		return -1, fmt.Errorf("write init: %w", err)
	}
	return fd, nil
}
