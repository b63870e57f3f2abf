package executor

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Census is the list of living processes on a host without cgroups, kept in a file so that the supervisor that comes
// after one that was killed can end what it left. A process is told by its number, when it started and the boot, so
// that no other is taken for it.
//
// The file begins with the boot's id; then there is a fixed place for each process, blank when free.
type Census struct {
	file *os.File

	mu   sync.Mutex // guards what follows: lanes enter processes, the loop takes them out
	next int        // place never used yet
	free []int
}

const (
	bootBytes   = 64
	placeBytes  = 32 // number, blank, start time, newline
	bootIDFile  = "/proc/sys/kernel/random/boot_id"
	startField  = 22 // of /proc/PID/stat, man 5 proc: start time in clock ticks since boot
	fieldsAfter = 3  // number of the first field behind the program's name, which may hold anything
)

// OpenCensus kills what the list at path still names and starts a new one. It returns how many were killed.
func OpenCensus(path string) (c *Census, killed int, err error) {
	boot, err := os.ReadFile(bootIDFile)
	if err != nil {
		return nil, 0, fmt.Errorf("identify boot: %w", err)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	killed = sweep(old, boot)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, killed, err
	}
	head := fmt.Sprintf("%-*s\n", bootBytes-1, bytes.TrimSpace(boot))
	if _, err := file.WriteAt([]byte(head), 0); err != nil {
		file.Close()
		return nil, killed, err
	}
	return &Census{file: file}, killed, nil
}

// sweep kills each process of the list that is still the one that was meant, with its group.
func sweep(list, boot []byte) (killed int) {
	for pid, started := range listed(list, boot) {
		pidfd, err := sys.PidfdOpen(pid)
		if err != nil {
			continue
		}
		// The descriptor is held: if the start time is right now, the process cannot become another.
		if now, err := startTime(pid); err == nil && now == started {
			sys.KillGroup(pid, syscall.SIGKILL)
			sys.PidfdSendSignal(pidfd, syscall.SIGKILL) //nolint:errcheck // it has just ended
			killed++
		}
		sys.Close(pidfd)
	}
	return killed
}

// listed are the processes that a list of this boot names, each with its number and when it started. A list that is
// no list names none.
func listed(list, boot []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		head, places, ok := bytes.Cut(list, []byte{'\n'})
		if !ok || !bytes.Equal(bytes.TrimSpace(head), bytes.TrimSpace(boot)) {
			return
		}
		for line := range bytes.Lines(places) {
			number, started, _ := strings.Cut(string(bytes.TrimSpace(line)), " ")
			pid, err := strconv.Atoi(number)
			if err == nil && pid > 1 && !yield(pid, started) {
				return
			}
		}
	}
}

// startTime is when a process started, in the kernel's own ticks.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= startField-fieldsAfter {
		return "", fmt.Errorf("read start time of process %d: %d fields", pid, len(fields))
	}
	return fields[startField-fieldsAfter], nil
}

// enter writes a process down and returns its place.
func (c *Census) enter(pid int) (place int, err error) {
	started, err := startTime(pid)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		place, c.free = c.free[n-1], c.free[:n-1]
	} else {
		place = c.next
		c.next++
	}
	return place, c.write(place, strconv.Itoa(pid)+" "+started)
}

// leave takes a process out.
func (c *Census) leave(place int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, place)
	return c.write(place, "")
}

func (c *Census) write(place int, text string) error {
	line := fmt.Sprintf("%-*s\n", placeBytes-1, text)
	_, err := c.file.WriteAt([]byte(line), int64(bootBytes+place*placeBytes))
	return err
}

// Close ends the list: nobody is left to be found.
func (c *Census) Close() error {
	return errors.Join(c.file.Truncate(0), c.file.Close())
}

// record enters the process where no cgroup keeps it findable. A process that cannot be written down is not kept.
func (p *process) record() error {
	census := p.crew.work.Census
	if census == nil || p.slot.leaf != nil && p.slot.leaf.Into() >= 0 {
		return nil
	}
	place, err := census.enter(p.pid)
	if err != nil {
		sys.PidfdSendSignal(p.pidfd, syscall.SIGKILL) //nolint:errcheck // it has just ended by itself
		sys.WaitPIDFD(p.pidfd, false)                 //nolint:errcheck // it is being killed; nothing else can wait for it
		return fmt.Errorf("write process down: %w", err)
	}
	p.place = place + 1
	return nil
}

// unrecord takes the process out again.
func (p *process) unrecord() {
	if p.place == 0 {
		return
	}
	if err := p.crew.work.Census.leave(p.place - 1); err != nil {
		p.crew.pool.log.Warn("a process that ended stays on the list", "pid", p.pid, "err", err)
	}
	p.place = 0
}
