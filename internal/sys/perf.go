package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a breakpoint is for, linux/hw_breakpoint.h.
const (
	HW_BREAKPOINT_W  = 2
	HW_BREAKPOINT_RW = 3
)

// Records of a ring of perf, linux/perf_event.h: struct perf_event_header, and its kinds.
const (
	SizeofPerfHeader   = 8
	PERF_RECORD_LOST   = unix.PERF_RECORD_LOST
	PERF_RECORD_SAMPLE = unix.PERF_RECORD_SAMPLE
)

// Where a ring's first page says how far it is written, and how far it is read (struct perf_event_mmap_page).
const (
	PerfHead = unsafe.Offsetof(unix.PerfEventMmapPage{}.Data_head)
	PerfTail = unsafe.Offsetof(unix.PerfEventMmapPage{}.Data_tail)
)

// Breakpoint opens a breakpoint of the processor on one CPU: each access to an address by whatever process is a record of
// instruction, process and thread, and wakes who polls (man 2 perf_event_open). It needs CAP_PERFMON, or
// kernel.perf_event_paranoid at 0 or less.
func Breakpoint(address uint64, length, kind, cpu int) (int, error) {
	return unix.PerfEventOpen(&unix.PerfEventAttr{
		Type: unix.PERF_TYPE_BREAKPOINT, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Sample: 1, Wakeup: 1,
		Sample_type: unix.PERF_SAMPLE_IP | unix.PERF_SAMPLE_TID, Bp_type: uint32(kind), Ext1: address, Ext2: uint64(length),
	}, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
}
