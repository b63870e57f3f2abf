package signals

import (
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

const realtime = syscall.Signal(35)

func open(t *testing.T, want ...syscall.Signal) *Taker {
	t.Helper()
	taker, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taker.Close)
	if err := taker.Take(SetOf(want...)); err != nil {
		t.Fatal(err)
	}
	return taker
}

// read waits for n signals.
func read(t *testing.T, taker *Taker, n int) (all []Info, lost uint64) {
	t.Helper()
	for deadline := time.Now().Add(aemtest.Slow(20 * time.Second)); len(all) < n; time.Sleep(time.Millisecond) {
		var more uint64
		all, more = taker.Read(all, n-len(all))
		lost += more
		if time.Now().After(deadline) {
			t.Fatalf("%d signals came, want %d", len(all), n)
		}
	}
	return all, lost
}

// queue sends us a signal with a value, as sigqueue(3) does.
func queue(t *testing.T, s syscall.Signal, value int32) {
	t.Helper()
	info := [sys.SizeofSiginfo / 4]int32{0: int32(s), 2: sys.SI_QUEUE, 4: int32(os.Getpid()), 5: int32(os.Getuid()), 6: value}
	_, _, errno := syscall.Syscall(syscall.SYS_RT_SIGQUEUEINFO, uintptr(os.Getpid()), uintptr(s), uintptr(unsafe.Pointer(&info)))
	if errno != 0 {
		t.Fatal(errno)
	}
}

func TestSenderIsTold(t *testing.T) {
	taker := open(t, syscall.SIGUSR1, realtime)
	c := exec.Command("sh", "-c", "kill -USR1 "+strconv.Itoa(os.Getpid()))
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	all, lost := read(t, taker, 1)
	if want := (Info{syscall.SIGUSR1, sys.SI_USER, c.Process.Pid, os.Getuid(), 0}); all[0] != want || lost != 0 {
		t.Errorf("%+v, %d lost, want %+v", all[0], lost, want)
	}
	queue(t, realtime, 7)
	all, _ = read(t, taker, 1)
	if want := (Info{realtime, sys.SI_QUEUE, os.Getpid(), os.Getuid(), 7}); all[0] != want {
		t.Errorf("%+v, want %+v", all[0], want)
	}
}

// TestWhatHasNoRoomIsCounted sends more than the pipe holds, and reads none meanwhile.
func TestWhatHasNoRoomIsCounted(t *testing.T) {
	const sent = 2000
	taker := open(t, realtime)
	for i := range sent {
		queue(t, realtime, int32(i))
	}
	var all []Info
	var lost uint64
	for deadline := time.Now().Add(aemtest.Slow(20 * time.Second)); len(all)+int(lost) < sent && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var more uint64
		all, more = taker.Read(all, sent)
		lost += more
	}
	if lost == 0 || len(all)+int(lost) != sent {
		t.Errorf("%d came and %d are lost, of %d", len(all), lost, sent)
	}
	seen := map[int32]bool{}
	for _, i := range all {
		seen[i.Value] = true
	}
	if len(seen) != len(all) {
		t.Errorf("of %d only %d are different", len(all), len(seen))
	}
}

// TestSignalsAreGivenBack: what is not taken any more does what it did before, and the next taker can take it.
func TestSignalsAreGivenBack(t *testing.T) {
	before := make(chan os.Signal, 1)
	signal.Notify(before, syscall.SIGUSR2)
	defer signal.Stop(before)
	for _, give := range []func(*Taker){func(k *Taker) { k.Take(SetOf(realtime)) }, (*Taker).Close} {
		taker, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := taker.Take(SetOf(syscall.SIGUSR2, realtime)); err != nil {
			t.Fatal(err)
		}
		syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		read(t, taker, 1)
		if _, err := Open(); err == nil {
			t.Error("two take signals at once")
		}
		give(taker)
		syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		select {
		case <-before:
		case <-time.After(aemtest.Slow(20 * time.Second)):
			t.Fatal("the signal did not come back")
		}
		if taken.Load() {
			taker.Close()
		}
	}
}

// TestManyTakersAtOnce opens and closes while signals come on all threads: none may end the process, or be written to what
// the pipe's number is used for next.
func TestManyTakersWhileSignalsCome(t *testing.T) {
	signal.Ignore(realtime)
	defer signal.Reset(realtime)
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				syscall.Kill(os.Getpid(), realtime)
			}
		}
	}()
	for range aemtest.Few(500) {
		taker, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := taker.Take(SetOf(realtime)); err != nil {
			t.Fatal(err)
		}
		read(t, taker, 1)
		taker.Close()
	}
	close(stop)
	<-stopped
}
