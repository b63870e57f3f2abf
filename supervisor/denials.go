package supervisor

import (
	"log/slog"

	"github.com/aem-exec/aem-exec/internal/audit"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
)

// denials remembers which system call processes were last ended for, from the kernel's audit records.
type denials struct {
	reader *audit.Reader // nil: records cannot be read here
	why    string        // and why not
	log    *slog.Logger
	count  uint64         // of records read
	names  map[int]string // by process
	order  []int          // of names, oldest first

	witnesses map[uint32]*witness // by audit session
	observer  *Observer           // nil: the log
}

// deniedKept bounds what is remembered: a record is asked for soon after it came.
const deniedKept = 256

// openDenials begins to read the records, where that is permitted.
func openDenials(p *source.Poller, log *slog.Logger, o *Observer) (*denials, error) {
	d := &denials{log: log, names: map[int]string{}, witnesses: map[uint32]*witness{}, observer: o}
	reader, err := audit.Open()
	if err != nil {
		d.why = err.Error()
		return d, nil
	}
	d.reader = reader
	_, err = p.Add(reader.FD(), sys.EPOLLIN, source.WatcherFunc(func(uint32) { d.read() }))
	return d, err
}

// recordsPerTurn bounds how many records are read before others have their turn: a process may make them without end.
const recordsPerTurn = 256

func (d *denials) read() {
	for range recordsPerTurn {
		record, ok, err := d.reader.Next()
		if err != nil {
			d.lost(err)
		}
		if !ok {
			return
		}
		d.count++
		if record.Signal != 0 || record.Action == sys.SECCOMP_RET_TRAP {
			d.keep(record)
		} else if w := d.witnesses[record.Session]; w != nil {
			w.see(&record)
		}
	}
}

func (d *denials) keep(r audit.Record) {
	arch, ok := policy.ArchOf(r.Arch, r.Syscall)
	if !ok {
		return
	}
	if _, known := d.names[r.PID]; !known {
		d.order = append(d.order, r.PID)
		if len(d.order) > deniedKept {
			delete(d.names, d.order[0])
			d.order = d.order[1:]
		}
	}
	d.names[r.PID] = policy.SyscallName(arch, r.Syscall)
}

// name is what process pid was ended for, and why no name can be had; neither when a record may still come. A name is
// given once: the number may be another process's next time.
func (d *denials) name(pid int) (name, why string) {
	if d.reader == nil {
		return "", d.why
	}
	d.read()
	name = d.names[pid]
	delete(d.names, pid)
	return name, ""
}

func (d *denials) close() {
	if d.reader == nil {
		return
	}
	if d.observer != nil {
		d.settle()
	}
	d.reader.Close() //nolint:errcheck // nothing was written
}
