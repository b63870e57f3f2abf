package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// copySizes are what is copied; a block has so many samples, and a sample is the mean of so many copies: reading the
// clock takes longer than the smallest ones.
var copySizes = []struct {
	name            string
	size            int
	samples, copies int
}{
	{"64B", 64, 50, 100},
	{"1KiB", 1 << 10, 50, 100},
	{"64KiB", 64 << 10, 50, 4},
	{"1MiB", 1 << 20, 40, 1},
	{"16MiB", 16 << 20, 6, 1},
}

const largestCopy = 16 << 20

// target is a process that sleeps, with an arena.
type target struct {
	cmd   *exec.Cmd
	in    io.Closer
	arena uint64
}

func (b *bench) newTarget(size int) (*target, error) {
	program, err := b.compile("arena")
	if err != nil {
		return nil, err
	}
	t := &target{cmd: exec.Command(program, strconv.Itoa(size))}
	t.cmd.Stderr = os.Stderr
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	if err := binary.Read(out, binary.NativeEndian, &t.arena); err != nil {
		return nil, errors.Join(fmt.Errorf("make arena: %w", err), t.close())
	}
	return t, nil
}

func (t *target) close() error { return errors.Join(t.in.Close(), t.cmd.Wait()) }

// benchCopy compares directcopy.Write into a sleeping process with memcpy in a C program, into memory of the same kind,
// and with nothing but the system call. The bytes come from Go's heap, as those of events do. All are warm.
func benchCopy(b *bench) (rows []row, err error) {
	t, err := b.newTarget(largestCopy)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	program, err := b.compile("memcpy")
	if err != nil {
		return nil, err
	}
	data := make([]byte, largestCopy)
	for i := range data {
		data[i] = byte(i)
	}
	for _, c := range copySizes {
		memcpy, err := startFloor(nil, program, strconv.Itoa(c.size), strconv.Itoa(c.copies))
		if err != nil {
			return nil, err
		}
		from := data[:c.size]
		timed := func(name string, f func() error) contender {
			return contender{name, func() ([]float64, error) { return clock(c.samples, c.copies, f) }}
		}
		r, err := interleave(turns,
			timed("directcopy", func() error {
				_, err := directcopy.Write(t.cmd.Process.Pid, t.arena, [][]byte{from})
				return err
			}),
			timed("syscall", func() error { return t.write(from) }),
			contender{"memcpy", func() ([]float64, error) { return memcpy.block(c.samples) }})
		if err := errors.Join(err, memcpy.close()); err != nil {
			return nil, err
		}
		rows = append(rows, r.rows("copy."+c.name, "ns", "directcopy", "memcpy")[0])
		rows = append(rows, r.rows("copy."+c.name+".syscall", "ns", "directcopy", "syscall")[0])
	}
	return rows, nil
}

// writevNumber is the number of process_vm_writev, which package syscall does not name everywhere.
var writevNumber = map[string]uintptr{"amd64": 311, "arm64": 271}[runtime.GOARCH]

// write is process_vm_writev with nothing around it.
func (t *target) write(from []byte) error {
	local := sys.Iovec{Base: unsafe.SliceData(from)}
	local.SetLen(len(from))
	remote := sys.RemoteIovec{Base: uintptr(t.arena), Len: len(from)}
	n, _, errno := syscall.RawSyscall6(writevNumber, uintptr(t.cmd.Process.Pid),
		uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	if errno != 0 || int(n) != len(from) {
		return fmt.Errorf("process_vm_writev: %d of %d bytes: %w", n, len(from), errno)
	}
	return nil
}

// clock takes samples of how long a call takes, each the mean of so many calls.
func clock(samples, calls int, f func() error) ([]float64, error) {
	all := make([]float64, samples)
	for i := range all {
		start := sys.Monotonic()
		for range calls {
			if err := f(); err != nil {
				return nil, err
			}
		}
		all[i] = float64(sys.Monotonic()-start) / float64(calls)
	}
	return all, nil
}
