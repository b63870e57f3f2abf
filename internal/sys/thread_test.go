package sys

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestSleepsTellsWaitingFromRunning: a thread that was merely slow to get a CPU was taken for one that a page never
// comes for, and its handler ended.
func TestSleepsTellsWaitingFromRunning(t *testing.T) {
	var stop atomic.Bool
	busy, idle, wake := make(chan int), make(chan int), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		busy <- Gettid()
		for !stop.Load() {
		}
	}()
	go func() {
		runtime.LockOSThread()
		idle <- Gettid()
		<-wake
	}()
	running, waiting := <-busy, <-idle
	defer stop.Store(true)
	defer close(wake)
	for deadline := time.Now().Add(10 * time.Second); Sleeps(running) || !Sleeps(waiting); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the busy thread sleeps: %v, the waiting one: %v", Sleeps(running), Sleeps(waiting))
		}
	}
	if !Sleeps(1 << 30) {
		t.Error("a thread that is not there does not sleep")
	}
}
