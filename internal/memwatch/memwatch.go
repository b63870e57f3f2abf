// Package memwatch tells who touches a place in a process's memory: by the processor's breakpoints, of which it has few (four
// on amd64). They are set on each CPU for all processes, so that every thread is seen, also one that begins later; what other
// processes do at the same address is passed over.
package memwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Spec says what is watched: Length bytes, 1, 2, 4 or 8, at a multiple of that.
type Spec struct {
	PID     int
	Address uint64
	Length  int
	Reads   bool // reading is told too
}

// Access is one that was seen.
type Access struct {
	PID, Thread int
	Instruction uint64 // the one behind it, on amd64
}

// Watch is one place that is watched, until Close. It has one owner.
type Watch struct {
	pid   int
	rings []ring
}

// ring is where one CPU tells of accesses: a page that says how far it is, and dataPages of records.
type ring struct {
	fd  int
	mem []byte
}

const dataPages = 2

// Open begins to watch.
func Open(s Spec) (*Watch, error) {
	cpus, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*")
	if err != nil {
		return nil, err
	}
	kind := sys.HW_BREAKPOINT_W
	if s.Reads {
		kind = sys.HW_BREAKPOINT_RW
	}
	w := &Watch{pid: s.PID}
	for _, name := range cpus {
		cpu, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(name), "cpu"))
		fd, err := sys.Breakpoint(s.Address, s.Length, kind, cpu)
		if errors.Is(err, syscall.ENODEV) {
			continue // it is switched off
		}
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("set breakpoint: %w%s", err, reasons[err])
		}
		mem, err := syscall.Mmap(fd, 0, (1+dataPages)*os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		w.rings = append(w.rings, ring{fd, mem})
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("map records of breakpoint: %w", err)
		}
	}
	return w, nil
}

// reasons say what is behind an error.
var reasons = map[error]string{
	syscall.ENOSPC: ": the processor has no breakpoint left",
	syscall.EACCES: ": it needs CAP_PERFMON",
	syscall.EPERM:  ": it needs CAP_PERFMON",
}

// Probe reports why none can be watched here.
func Probe() error {
	var place uint64
	w, err := Open(Spec{Address: uint64(uintptr(unsafe.Pointer(&place))) &^ 7, Length: 8})
	if err == nil {
		w.Close()
	}
	return err
}

// FDs are readable while Read has something.
func (w *Watch) FDs() []int {
	fds := make([]int, len(w.rings))
	for i := range w.rings {
		fds[i] = w.rings[i].fd
	}
	return fds
}

// Read appends what was seen, and says how many more there were no room for. Between CPUs there is no order.
func (w *Watch) Read(all []Access) ([]Access, uint64) {
	lost := uint64(0)
	for i := range w.rings {
		var more uint64
		all, more = w.rings[i].read(all, w.pid)
		lost += more
	}
	return all, lost
}

func (r *ring) read(all []Access, pid int) (_ []Access, lost uint64) {
	data := r.mem[os.Getpagesize():]
	head := (*atomic.Uint64)(unsafe.Pointer(&r.mem[sys.PerfHead])).Load()
	tail := (*atomic.Uint64)(unsafe.Pointer(&r.mem[sys.PerfTail]))
	at := tail.Load()
	ne := binary.NativeEndian
	var b [64]byte // longer than any record that is asked for
	for at < head {
		for i := range b { // a record may go on at the beginning
			b[i] = data[(at+uint64(i))%uint64(len(data))]
		}
		body := b[sys.SizeofPerfHeader:]
		switch ne.Uint32(b[:]) {
		case sys.PERF_RECORD_SAMPLE: // instruction, process, thread
			if a := (Access{int(ne.Uint32(body[8:])), int(ne.Uint32(body[12:])), ne.Uint64(body)}); a.PID == pid {
				all = append(all, a)
			}
		case sys.PERF_RECORD_LOST: // of which event, how many
			lost += ne.Uint64(body[8:])
		}
		at += uint64(max(sys.SizeofPerfHeader, ne.Uint16(b[6:])))
	}
	tail.Store(at)
	return all, lost
}

// Close ends it.
func (w *Watch) Close() {
	for _, r := range w.rings {
		if r.mem != nil {
			syscall.Munmap(r.mem) //nolint:errcheck // it is ours, whole
		}
		sys.Close(r.fd)
	}
	w.rings = nil
}
