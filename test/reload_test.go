package test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aem-exec/aem-exec/control"
)

// reloaded is a configuration with a listener that is always the same, and things that are not.
const reloaded = `
[app.web]
[app.web.handler.echo]
exec = ["cat"]
handover = "socket"
[app.web.handler.upper]
exec = ["bin/upper"]
handover = "direct"
life = "resident"
size = 1
env = { ROUND = "%d" }
[app.web.event.in]
type = "socket.accept"
listen = "tcp://%s"
handler = "echo"
[app.web.event.upper]
type = "topic"
handler = "upper"
[app.r%d.event.other]
type = "topic"
handler = { agent = "callback", call = "log" }
`

// TestReloadKeepsListeners_R126_R168 changes the file twenty times under clients that connect all the while, and twenty times
// to one that is not right: none is refused, and the listener's job is the same one. A handler that is another one each time
// misses no event.
func TestReloadKeepsListeners_R126_R168(t *testing.T) {
	address := freeAddress(t)
	file := func(round int) string {
		return head + fmt.Sprintf(reloaded, round, address, round)
	}
	s := prepare(t, myself(), "")
	s.write("aem.toml", file(0))
	s.run()
	id := s.job("web", "in").ID
	stop, connected, published := make(chan struct{}), 0, 0
	var clients sync.WaitGroup
	repeat := func(n *int, f func(i int) error) {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					*n = i
					return
				default:
				}
				if err := f(i); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
		})
	}
	repeat(&connected, func(i int) error {
		say := fmt.Sprint("client ", i)
		answer, err := converse("tcp", address, say)
		if err == nil && answer != say {
			err = fmt.Errorf("answer %q", answer)
		}
		return err
	})
	repeat(&published, func(i int) error {
		e, err := s.emit(control.Request{Topic: "web/upper", Data: fmt.Append(nil, "event ", i), Wait: true})
		if err == nil && string(e.Fates[0].Reply) != fmt.Sprint("EVENT ", i) {
			err = fmt.Errorf("fate %+v", e.Fates[0])
		}
		return err
	})
	for round := 1; round <= 20 && !t.Failed(); round++ {
		s.write("aem.toml", file(round)+"[app.web.event.wrong]\ntype = \"topik\"\n")
		if err := s.reload(); err == nil || !strings.Contains(err.Error(), `unknown type "topik" (did you mean topic?)`) {
			t.Errorf("a file that is not right: %v", err)
		}
		s.write("aem.toml", file(round))
		if out := s.must("ctl", "reload"); !strings.Contains(out, "renewed handler web/upper\n") || strings.Contains(out, "web/in") {
			t.Errorf("reload %d: %s", round, out)
		}
	}
	close(stop)
	clients.Wait()
	if job := s.job("web", "in"); job.ID != id || connected == 0 {
		t.Errorf("job %s was %s, %d clients", job.ID, id, connected)
	}
	s.settled("web", "in", connected)
	if published == 0 {
		t.Error("nothing was published")
	}
	s.settled("web", "upper", published)
	s.stop()
}

// reload is `aem-exec ctl reload` of one that does not look into the file itself.
func (s *supervisor) reload() error {
	c, err := control.Dial(s.path("run"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Do(s.t.Context(), control.Request{Op: control.OpReload})
	return err
}
