package sys

import (
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestCollectorEndsAWaitInPlace has the collector want a thread that sleeps and of which the runtime does not know that.
func TestCollectorEndsAWaitInPlace(t *testing.T) {
	const longest = time.Minute
	epfd, err := EpollCreate()
	if err != nil {
		t.Fatal(err)
	}
	defer Close(epfd)
	ended := make(chan error)
	tid := make(chan int)
	go func() {
		runtime.LockOSThread()
		tid <- Gettid()
		var events [1]EpollEvent
		_, err := EpollWaitHere(epfd, events[:], longest)
		ended <- err
	}()
	for waiter := <-tid; !Sleeps(waiter); time.Sleep(time.Millisecond) {
	}
	began := time.Now()
	runtime.GC()
	if took := time.Since(began); took > longest/2 {
		t.Errorf("a collection took %v", took)
	}
	if err := <-ended; !errors.Is(err, syscall.EINTR) {
		t.Errorf("the wait ended with %v, want %v", err, syscall.EINTR)
	}
}
