package source

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/memwatch"
)

var breakpoints = aemtest.Feature{Name: "breakpoints", Probe: memwatch.Probe, Where: aemtest.HostOnly}

// watchedWord is what the test watches in its own memory: it does not move.
var watchedWord [4]uint64

func TestMemoryIsWatched_R175(t *testing.T) {
	aemtest.Require(t, aemtest.Root, breakpoints)
	d, s := newDesk(t, "memory")
	for id, spec := range []Memory{
		{PID: os.Getpid(), Address: addressOf(&watchedWord[0]), Length: 8},
		{PID: os.Getpid(), Address: addressOf(&watchedWord[1]), Length: 8, Reads: true},
		{PID: 1, Address: addressOf(&watchedWord[2]), Length: 8},
	} { // an emulated processor tells of one of those that have the same address
		if err := s.Start(aem.JobID(id), spec); err != nil {
			t.Fatal(err)
		}
	}
	told := func(id aem.JobID) (n int) {
		for _, e := range d.detected {
			if e.job == id {
				n++
			}
		}
		return n
	}
	load(&watchedWord[0])
	store(&watchedWord[2], 7)
	store(&watchedWord[0], 7)
	d.until(t, "told of a write", func() bool { return told(0) == 1 })
	store(&watchedWord[1], 7)
	d.until(t, "told of another", func() bool { return told(1) >= 1 })
	n := told(1) // the race detector may have read it
	if load(&watchedWord[1]) != 7 {
		t.Error("what was written is not there")
	}
	d.until(t, "told of a read", func() bool { return told(1) > n })
	if told(0) != 1 || told(2) != 0 {
		t.Errorf("%d writes, %d by process 1", told(0), told(2))
	}
	f := d.detected[0].facts()
	if f["pid"] != strconv.Itoa(os.Getpid()) || f["thread"] == "0" || f["instruction"] == "0x0" || f["lost"] != "0" {
		t.Errorf("facts %v", f)
	}
	s.Stop(0)
	s.Stop(1)
	store(&watchedWord[0], 8)
	d.quiet(t, 0)
}

// TestMuchMemoryIsCounted_R175 writes more than there is room for, while nobody reads.
func TestMuchMemoryIsCounted_R175(t *testing.T) {
	aemtest.Require(t, aemtest.Root, breakpoints)
	d, s := newDesk(t, "memory")
	if err := s.Start(1, Memory{PID: os.Getpid(), Address: addressOf(&watchedWord[3]), Length: 8}); err != nil {
		t.Fatal(err)
	}
	const writes = 5000
	for i := range uint64(writes) {
		store(&watchedWord[3], i)
	}
	count := func() (told, lost int64) {
		for _, e := range d.detected {
			if n := e.Facts[3].Number; n > 0 {
				lost += n
			} else {
				told++
			}
		}
		return told, lost
	}
	store(&watchedWord[3], 0) // what is lost is told with the next one that has room
	d.until(t, "all told", func() bool {
		told, lost := count()
		if told+lost < writes {
			store(&watchedWord[3], 0)
		}
		return told+lost >= writes
	})
	if told, lost := count(); told == 0 || lost == 0 {
		t.Errorf("%d told, %d lost", told, lost)
	}
}

// TestMemoryOfAProcessThatEnds_R175: its job fails, and says so; what has its number then is another one.
func TestMemoryOfAProcessThatEnds_R175(t *testing.T) {
	aemtest.Require(t, aemtest.Root, breakpoints)
	d, s := newDesk(t, "memory")
	pid, end := child(t, "exit 0")
	if err := s.Start(1, Memory{PID: pid, Address: 0x1000, Length: 1}); err != nil {
		t.Fatal(err)
	}
	end()
	d.until(t, "told", func() bool { return len(d.troubles) == 1 && strings.Contains(d.troubles[0].Error(), "is over") })
	if err := s.Start(2, Memory{PID: pid, Address: 0x1000, Length: 1}); err == nil {
		t.Error("a process is watched that there is not")
	}
	s.Stop(1)
	for i := range 20 { // none of the few is left behind
		if err := s.Start(aem.JobID(i), Memory{PID: os.Getpid(), Address: 0x1000, Length: 1}); err != nil {
			t.Fatal(err)
		}
		s.Stop(aem.JobID(i))
	}
	for _, bad := range []Memory{{PID: 1, Address: 8, Length: 3}, {PID: 1, Address: 4, Length: 8}, {PID: 1, Length: 8}, {Address: 8, Length: 8}} {
		if Check(bad) == nil {
			t.Errorf("%+v may be asked for", bad)
		}
	}
}
