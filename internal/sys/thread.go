package sys

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Gettid is the number of the calling thread, man 2 gettid.
func Gettid() int { return unix.Gettid() }

// Sleeps reports whether a thread of this process waits for something, and is not merely waiting for its turn on a CPU:
// its state in /proc/PID/task/TID/stat is not R (man 5 proc_pid_stat). A thread that cannot be looked at counts as one
// that sleeps.
func Sleeps(tid int) bool {
	stat, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/stat")
	_, state, ok := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(" "))
	return err != nil || !ok || len(state) == 0 || state[0] != 'R'
}
