package signals

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Info is one signal that came.
type Info struct {
	Signal syscall.Signal
	Code   int32 // sys.SI_USER and the like
	PID    int   // who sent it, 0 where that is no process
	UID    int   // whose that is, else -1
	Value  int32 // what sigqueue(3) sent along
}

// Set is a set of signals, as the kernel has it: the first bit is that of signal 1.
type Set uint64

// SetOf is the set of some signals.
func SetOf(all ...syscall.Signal) (s Set) {
	for _, one := range all {
		s |= 1 << (one - 1)
	}
	return s
}

// What the handler shares with us: the actions of a process are the process's.
var (
	pipe   int32  = -1 // the end that it writes to; negative: it drops what comes
	inside int32       // threads that are in it
	lost   uint64      // what found no room in the pipe
	taken  atomic.Bool
)

// addresses are those of the handler, and of what it returns to (man 2 sigreturn).
func addresses() (handler, restorer uintptr)

// Taker takes signals from what they did before. It has one owner.
type Taker struct {
	read, write int
	set         Set
	before      [64]sys.Sigaction // of those in set
}

// Open makes the process's taker, which takes nothing yet.
func Open() (*Taker, error) {
	if taken.Swap(true) {
		return nil, errors.New("take signals: another supervisor of this process does")
	}
	read, write, err := sys.Pipe()
	if err == nil {
		err = sys.DoNotBlock(write)
	}
	if err != nil {
		taken.Store(false)
		return nil, fmt.Errorf("make pipe for signals: %w", err)
	}
	atomic.StoreInt32(&pipe, int32(write))
	return &Taker{read: read, write: write}, nil
}

// FD is readable while Read has something.
func (t *Taker) FD() int { return t.read }

// Take takes these signals and no others: those it had before do again what they did.
func (t *Taker) Take(want Set) error {
	if blocked := Set(sys.BlockedSignals()); blocked&want != 0 {
		return fmt.Errorf("take signals: who started us has some blocked (SigBlk %016x)", uint64(blocked&want))
	}
	handler, restorer := addresses()
	action := sys.Sigaction{Handler: uint64(handler), Restorer: uint64(restorer), Mask: ^uint64(0),
		Flags: sys.SA_SIGINFO | sys.SA_ONSTACK | sys.SA_RESTART | sys.SA_RESTORER}
	for n := range t.before {
		s, bit := syscall.Signal(n+1), Set(1)<<n
		var err error
		switch {
		case want&^t.set&bit != 0:
			if err = sys.SetSigaction(s, &action, &t.before[n]); err == nil {
				t.set |= bit
			}
		case t.set&^want&bit != 0:
			if err = sys.SetSigaction(s, &t.before[n], nil); err == nil {
				t.set &^= bit
			}
		}
		if err != nil {
			return fmt.Errorf("take signal %v: %w", s, err)
		}
	}
	return nil
}

// Read appends signals to all, most of them, in the order in which they came, and says how many more came than the pipe
// had room for.
func (t *Taker) Read(all []Info, most int) ([]Info, uint64) {
	var b [sys.SizeofSiginfo]byte
	for range most {
		if n, err := sys.Read(t.read, b[:]); err != nil || n != len(b) { // a pipe keeps so little whole, man 7 pipe
			break
		}
		all = append(all, parse(b[:]))
	}
	return all, atomic.SwapUint64(&lost, 0)
}

// parse reads struct siginfo, asm-generic/siginfo.h.
func parse(b []byte) Info {
	ne := binary.NativeEndian
	i := Info{Signal: syscall.Signal(ne.Uint32(b)), Code: int32(ne.Uint32(b[8:])), UID: -1}
	switch i.Code {
	case sys.SI_USER, sys.SI_TKILL, sys.SI_QUEUE, sys.SI_MESGQ:
		i.PID, i.UID = int(int32(ne.Uint32(b[16:]))), int(ne.Uint32(b[20:]))
	}
	switch i.Code {
	case sys.SI_QUEUE, sys.SI_MESGQ, sys.SI_TIMER:
		i.Value = int32(ne.Uint32(b[24:]))
	}
	return i
}

// Close gives all signals back.
func (t *Taker) Close() {
	t.Take(0) //nolint:errcheck // the kernel took these actions before
	atomic.StoreInt32(&pipe, -1)
	for atomic.LoadInt32(&inside) != 0 { // a thread is about to write
		runtime.Gosched()
	}
	sys.Close(t.read)
	sys.Close(t.write)
	atomic.StoreUint64(&lost, 0)
	taken.Store(false)
}
