package executor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// SecondFilter is what an app's handlers install when they are ready, one for all of them. It lives as long as the app.
type SecondFilter struct {
	file  directcopy.Filter
	least int // how many filters each thread of a ready handler has
}

// NewSecondFilter makes the file of a filter for handlers that begin under another one, or under none.
func NewSecondFilter(f *spawn.Filter, first bool) (*SecondFilter, error) {
	least, err := filters("/proc/thread-self")
	if err != nil {
		return nil, err
	}
	if least++; first {
		least++
	}
	var text []byte
	for _, in := range f.Insns { // struct sock_filter (linux/filter.h)
		text = binary.NativeEndian.AppendUint16(text, in.Code)
		text = append(text, in.JT, in.JF)
		text = binary.NativeEndian.AppendUint32(text, in.K)
	}
	fd, err := sealed("aem-filter", text)
	return &SecondFilter{directcopy.Filter{File: fd, Flags: f.Flags}, least}, err
}

// Close lets go of the file. Handlers that have it keep it.
func (s *SecondFilter) Close() error { return sys.Close(s.file.File) }

// check finds a thread of a process that has fewer filters than it should. It is a guard against mistakes: a handler that
// means ill may make a thread where we have looked already.
func (s *SecondFilter) check(pid int) error {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for the second filter: %w", err)
	}
	for _, thread := range threads {
		n, err := filters(dir + "/" + thread.Name())
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it ended
		}
		if err != nil {
			return fmt.Errorf("look for the second filter: %w", err)
		}
		if n < s.least {
			return fmt.Errorf("the second filter is missing: thread %s has %d, want %d", thread.Name(), n, s.least)
		}
	}
	return nil
}

// filters is how many seccomp filters the thread of a folder in /proc has (man 5 proc, Seccomp_filters, Linux 5.9).
func filters(dir string) (int, error) {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nSeccomp_filters:")
	word, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(word))
	if err != nil {
		return 0, fmt.Errorf("%s/status: no Seccomp_filters: %w", dir, err)
	}
	return n, nil
}

// look has the lane look for the second filter, before the process is ready: reading so many files takes longer than the
// loop may.
func (p *process) look() {
	c := p.crew
	p.looked = true
	submitted := c.work.Lane.Submit(func(*spawn.Maker) {
		err := c.work.Second.check(p.pid)
		c.work.Loop.Post(func() {
			switch {
			case !slices.Contains(c.live, p): // it ended meanwhile
			case err != nil:
				p.lie(err)
			default:
				p.proved()
			}
		})
	})
	if !submitted {
		p.lie(errors.New("look for the second filter: the app's lane is full"))
	}
}
