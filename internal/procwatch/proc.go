package procwatch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// ticksPerSecond is USER_HZ, in which /proc tells times; man 5 proc_pid_stat.
const ticksPerSecond = 100

// state is what /proc/PID/stat says of a process.
type state struct {
	comm    string
	began   uint64 // ticks after the machine did
	threads int
	zombie  bool
	status  uint32 // of one that is over, as wait gives it; 0 too where it may not be told
}

// over reports whether a process has ended; its first thread may have, while others go on.
func (s state) over() bool { return s.zombie && s.threads <= 1 }

// readState reads it; an error says that there is no such process.
func readState(pid int) (state, error) {
	text, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return state{}, err
	}
	return parseState(text)
}

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// parseState reads the text of /proc/PID/stat. The name is in brackets and may have any byte in it, so the last
// closing bracket ends it.
func parseState(text []byte) (s state, err error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return s, fmt.Errorf("read process state %.80q: no name", text)
	}
	fields := strings.Fields(string(text[end+1:]))
	const stateField, threadsField, beganField, statusField = 0, 17, 19, 49 // the page counts from 1, and two are before
	if len(fields) <= statusField {
		return s, fmt.Errorf("read process state %.80q: too few fields", text)
	}
	s.comm = string(text[open+1 : end])
	s.zombie = fields[stateField] == "Z" || fields[stateField] == "X"
	if s.threads, err = strconv.Atoi(fields[threadsField]); err == nil {
		s.began, err = strconv.ParseUint(fields[beganField], 10, 64)
	}
	if err == nil {
		var status uint64
		status, err = strconv.ParseUint(fields[statusField], 10, 32)
		s.status = uint32(status)
	}
	if err != nil {
		err = fmt.Errorf("read process state %.80q: %w", text, err)
	}
	return s, err
}

// beganAt is when a process began, by the clock on the wall as it is now.
func (s state) beganAt() time.Time {
	age := time.Duration(sys.Boottime()) - time.Duration(s.began)*(time.Second/ticksPerSecond)
	return time.Now().Add(-age)
}

// readExe is the program that a process runs; "" for one of the kernel, one that is over, or without permission.
func readExe(pid int) string {
	exe, err := os.Readlink(procFile(pid, "exe"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(exe, " (deleted)") // man 5 proc_pid_exe
}

// readCgroups are the paths of a process in all hierarchies, man 7 cgroups; a process that is over has them until its
// parent has waited for it.
func readCgroups(pid int) []string {
	text, err := os.ReadFile(procFile(pid, "cgroup"))
	if err != nil {
		return nil
	}
	var paths []string
	for line := range strings.Lines(string(text)) {
		if parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(parts) == 3 {
			paths = append(paths, strings.TrimSuffix(parts[2], " (deleted)"))
		}
	}
	return paths
}

// below reports whether a cgroup is one or lies below it.
func below(path, group string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(group, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// allProcesses are the pids that there are.
func allProcesses() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// canTrace reports whether we have CAP_SYS_PTRACE, and so may read of any process how it ended.
func canTrace() bool {
	const capSysPtrace = 19
	line, ok := statusLine("self", "CapEff:")
	caps, err := strconv.ParseUint(line, 16, 64)
	return ok && err == nil && caps>>capSysPtrace&1 == 1
}

// isOurs reports whether a process is our user's and group's in every respect, so that we may read how it ended
// (PTRACE_MODE_READ_FSCREDS, man 2 ptrace).
func isOurs(pid int) bool {
	for prefix, own := range map[string]int{"Uid:": os.Geteuid(), "Gid:": os.Getegid()} {
		line, ok := statusLine(strconv.Itoa(pid), prefix)
		for _, id := range strings.Fields(line) {
			ok = ok && id == strconv.Itoa(own)
		}
		if !ok {
			return false
		}
	}
	return true
}

// statusLine is what /proc/PID/status says behind a prefix.
func statusLine(pid, prefix string) (string, bool) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// errAbsent says that there is no process to watch, which may change.
var errAbsent = errors.New("the process is not there")

// readPIDFile is the process that a file names. A process that began after the file was written is another one, which
// has its number again.
func readPIDFile(file string) (pid int, err error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errAbsent
	}
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil || pid <= 0 {
		return 0, fmt.Errorf("read %s: %.20q is no pid", file, line)
	}
	s, err := readState(pid)
	switch {
	case err != nil, s.over():
		return 0, errAbsent
	case s.beganAt().After(info.ModTime().Add(time.Second)): // both are told in whole ticks
		return 0, fmt.Errorf("read %s: process %d began after it was written: it is another one", file, pid)
	}
	return pid, nil
}
