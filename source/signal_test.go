package source

import (
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
)

func TestSignalsReachWhoAsked(t *testing.T) {
	d, s := newDesk(t, "signal")
	start := func(id aem.JobID, signals ...syscall.Signal) {
		t.Helper()
		if err := s.Start(id, Signal{signals}); err != nil {
			t.Fatal(err)
		}
	}
	send := func(sig syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	start(1, syscall.SIGUSR1)
	start(2, syscall.SIGUSR1, syscall.SIGUSR2, rtMin+3)
	send(syscall.SIGUSR1)
	d.events(t, 2)
	for i, e := range d.detected {
		if e.job != aem.JobID(i+1) || e.text("signal") != "USR1" || e.text("pid") != strconv.Itoa(os.Getpid()) || e.text("uid") != strconv.Itoa(os.Getuid()) {
			t.Errorf("job %v: %v", e.job, e.facts())
		}
	}
	send(syscall.SIGUSR2)
	d.events(t, 3)
	s.Hold(2)
	for range 3 {
		send(rtMin + 3)
	}
	d.until(t, "kept", func() bool { return s.(*signalSource).Kept(2) == 3 })
	s.Resume(2)
	d.events(t, 6)
	if e := d.detected[5]; e.job != 2 || e.text("signal") != "RTMIN+3" {
		t.Errorf("job %v: %v", e.job, e.facts())
	}
	s.Stop(2)
	send(syscall.SIGUSR1)
	d.events(t, 7)
	s.Stop(1)
	start(3, syscall.SIGUSR1) // and again
	send(syscall.SIGUSR1)
	d.events(t, 8)
}

func TestSignalNames(t *testing.T) {
	for _, name := range append(SignalNames(), "RTMIN", "RTMIN+1", "RTMIN+30") {
		if s, err := ParseSignal(name); err != nil || signalName(s) != name {
			t.Errorf("%s is %v, called %s, %v", name, s, signalName(s), err)
		}
	}
	for _, name := range []string{"", "KILL", "TERM", "HUP", "CHLD", "URG", "usr1", "SIGUSR1", "10", "RTMIN+31", "RTMIN-1", "RTMIN1", "RTMIN+", "RTMAX"} {
		if s, err := ParseSignal(name); err == nil {
			t.Errorf("%q was read as %v", name, s)
		}
	}
	for _, bad := range []Signal{{}, {[]syscall.Signal{syscall.SIGKILL}}, {[]syscall.Signal{33}}} {
		if err := Check(bad); err == nil {
			t.Errorf("%v may be asked for", bad)
		}
	}
}
