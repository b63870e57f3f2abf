package sys

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PidfdParent is the parent of a process that has not been reaped, whose number is pid. From Linux 6.13 on the pidfd
// itself tells it (PIDFD_GET_INFO); before that it is read by number, and is the process's if that is still there then.
func PidfdParent(pidfd, pid int) (int, error) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err == nil {
		return int(info.Ppid), nil
	}
	return parentByNumber(pidfd, pid)
}

func parentByNumber(pidfd, pid int) (int, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	if err := PidfdSendSignal(pidfd, 0); err != nil {
		return 0, err
	}
	// The name of the program, in parentheses, may hold anything; state and parent follow it (man 5 proc).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read parent of process %d: %d fields", pid, len(fields))
	}
	return strconv.Atoi(fields[1])
}
