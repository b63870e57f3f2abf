package sdk

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// leak opens descriptors that a plain exec hands on, low and high ones.
func leak(t *testing.T) {
	t.Helper()
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0)
	check(t, err)
	fds := []int{null}
	for range 20 {
		fd, err := syscall.Dup(null)
		check(t, err)
		fds = append(fds, fd)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	})
}

// explained are the descriptors that `explain` says a handler's program has, as open.c lists them.
func explained(t *testing.T, h executor.Spec, second bool) (list string) {
	t.Helper()
	e, err := h.Explain(executor.Account{Own: true}, nil, second)
	check(t, err)
	for _, d := range e.Descriptors {
		for fd := d.FD; fd <= max(d.FD, d.End); fd++ {
			list += fmt.Sprint(fd, " ")
		}
	}
	return list
}

// TestHandlersHaveNoOtherDescriptors_R171 has programs of each life and handover tell what they have open, under a supervisor that
// has more.
func TestHandlersHaveNoOtherDescriptors_R171(t *testing.T) {
	aemtest.Require(t, aemtest.CC)
	leak(t)
	for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident, executor.Zygote} {
		for _, way := range []executor.Copy{executor.DirectCopy, executor.SharedCopy} {
			for _, second := range []bool{false, true} {
				if second && life == executor.Zygote {
					continue // whose filter would forbid to fork
				}
				t.Run(fmt.Sprint(life, " ", way, " ", second), func(t *testing.T) {
					h := handler(t, life, cCommand(t, openC))
					h.Copy = way
					change := func(*supervisor.App) {}
					if second {
						change = twoStages(t, policy.Default, policy.Handler)
					}
					c := run(t, source.Topic{Name: "a/e"}, h, change)
					want := explained(t, h, second)
					for range 3 {
						begun, now, _ := strings.Cut(string(c.emit(nil).Reply), "/ ")
						if begun != want || now != "0 1 2 3 4 5 6 " {
							t.Errorf("it began with %s, want %s, and has %s", begun, want, now)
						}
					}
				})
			}
		}
	}
	for _, handover := range []executor.Handover{executor.Socket, executor.ListenFDs, executor.Stdin, executor.Data, executor.None} {
		t.Run(string(handover), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "list")
			h := handler(t, executor.Cold, append(cCommand(t, openC), file))
			h.Handover = handover
			addr := freeAddress(t)
			var src source.Spec = source.Topic{Name: "a/e"}
			wantsSocket := slices.Contains([]executor.Handover{executor.Socket, executor.ListenFDs}, handover)
			if wantsSocket {
				src = source.Accept{Listen: []source.Address{addr}}
			}
			c := run(t, src, h)
			if wantsSocket {
				conn, err := net.DialTimeout("tcp", addr.IP.String(), patience)
				check(t, err)
				defer conn.Close()
				check(t, conn.SetDeadline(time.Now().Add(patience)))
				conn.Read(make([]byte, 1)) //nolint:errcheck // it is closed when the program has ended
			} else {
				c.emit(nil)
			}
			got, err := os.ReadFile(file)
			if want := explained(t, h, false); err != nil || string(got) != want {
				t.Errorf("it began with %s, want %s: %v", got, want, err)
			}
		})
	}
}
