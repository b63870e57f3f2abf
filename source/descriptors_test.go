package source

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestAcceptWithoutDescriptors_R048 runs itself with fewer descriptors than clients: the listener pauses, says so, and
// goes on by itself when there are some. No client is lost.
func TestAcceptWithoutDescriptors_R048(t *testing.T) {
	shortages := map[string]func(t *testing.T, clients int) shortage{"few": few, "none": none}
	if shortage := shortages[os.Getenv("AEM_TEST_DESCRIPTORS")]; shortage != nil {
		acceptThrough(t, shortage)
		return
	}
	for name := range shortages {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestAcceptWithoutDescriptors_R048$")
			cmd.Env = append(os.Environ(), "AEM_TEST_DESCRIPTORS="+name, "GORACE=atexit_sleep_ms=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// shortage is a source that finds too few descriptors.
type shortage struct {
	*desk
	Source
	why   error
	clear func() // ends it
}

func limitDescriptors(t *testing.T, n uint64) {
	t.Helper()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		t.Fatal(err)
	}
}

// few leaves enough for some of the clients, and those that are kept back.
func few(t *testing.T, clients int) shortage {
	limitDescriptors(t, uint64(clients+keptBack+clients/2))
	d, s := newDesk(t, "socket.accept")
	return shortage{d, s, errFewDescriptors, d.close}
}

// none leaves none: the kernel refuses, with clients waiting.
func none(t *testing.T, clients int) shortage {
	d, s := newDesk(t, "socket.accept") // it knows nothing of the limit that comes
	limitDescriptors(t, uint64(2*clients))
	var taken []int
	t.Cleanup(func() {
		for _, fd := range taken {
			sys.Close(fd)
		}
	})
	d.then = func(detected) {
		for d.then = nil; ; {
			fd, err := sys.Dup(0, 0)
			if err != nil {
				return
			}
			taken = append(taken, fd)
		}
	}
	return shortage{d, s, syscall.EMFILE, func() {
		for _, fd := range taken {
			sys.Close(fd)
		}
		taken = nil
	}}
}

func acceptThrough(t *testing.T, make func(*testing.T, int) shortage) {
	const clients = 60
	d := make(t, clients)
	network, at := listen(t, d.Source, 1, "unix:"+abstract(t))
	for range clients {
		dial(t, network, at)
	}
	d.until(t, "in trouble", func() bool { return len(d.troubles) > 0 })
	accepted := len(d.detected)
	if !errors.Is(d.troubles[0], d.why) || accepted == 0 || accepted == clients {
		t.Fatalf("trouble %v after %d of %d", d.troubles[0], accepted, clients)
	}
	began := time.Now()
	d.turn(t, 0)
	if l := d.Source.(*accepts).jobs[1][0]; !l.retry.Set() || len(d.detected) != accepted || len(d.troubles) != 1 {
		t.Fatalf("it does not pause: %d detected, troubles %v", len(d.detected), d.troubles)
	}
	d.clear()
	for len(d.detected) < clients {
		d.until(t, "going on", func() bool { return len(d.detected) > accepted })
		accepted = len(d.detected)
		d.close()
	}
	if took := time.Since(began); took < acceptRetry/2 {
		t.Errorf("it went on after %v, want a pause of %v", took, acceptRetry)
	}
	if d.troubles[1] != nil {
		t.Errorf("the end of the trouble was not told: %v", d.troubles)
	}
}

// TestListenerStoppedInTroubleIsSilent has an event that takes one descriptor too many end or hold its own job.
func TestListenerStoppedInTroubleIsSilent(t *testing.T) {
	for _, c := range []struct {
		name     string
		then     func(s Source)
		troubles int
	}{
		{"goes on", func(Source) {}, 1},
		{"held", func(s Source) { s.Hold(1) }, 1},
		{"stopped", func(s Source) { s.Stop(1) }, 0},
		{"stopped and started", func(s Source) {
			listeners := s.(*accepts).jobs[1]
			s.Stop(1)
			s.Start(1, Accept{Listen: []Address{listeners[0].addr}})
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, s := newDesk(t, "socket.accept")
			s.(*accepts).limit = keptBack
			network, at := listen(t, s, 1, "unix:"+abstract(t))
			dial(t, network, at)
			d.then = func(detected) { c.then(s) }
			d.events(t, 1)
			if _, waits := d.alarms.Next(); waits != (c.troubles > 0) || len(d.troubles) != c.troubles {
				t.Errorf("it tries again: %t; it reported %v", waits, d.troubles)
			}
		})
	}
}
