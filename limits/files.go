package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// write writes text to a file of the group dir, with one system call, as the kernel's parsers want it.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// makeGroup makes the group dir, and those above it, unless they are there.
func makeGroup(dir string) error { return os.MkdirAll(dir, 0o755) }

// descriptor opens a path for a child process to use. It is a bare descriptor, because os.File would put it into the
// runtime's poller: group files can be polled.
func descriptor(path string, flags int) (int, error) {
	fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// readText is a group's file as a text, read without the runtime's poller: some are read once a second for each app.
func readText(path string) (string, error) {
	fd, err := descriptor(path, syscall.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd) //nolint:errcheck // it was read only
	var text []byte
	for part := make([]byte, keptBytes); ; {
		switch n, err := syscall.Read(fd, part); {
		case err != nil:
			return "", &os.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return string(text), nil
		default:
			text = append(text, part[:n]...)
		}
	}
}

// processes lists the process ids in the group dir. Zombies are not among them.
func processes(dir string) ([]int, error) {
	text, err := readText(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, field := range strings.Fields(text) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("parse %s/cgroup.procs: %v", dir, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// parseNumber reads the text of a file that holds one number.
func parseNumber(path, text string) (int64, error) {
	n, ok := number(text)
	if !ok {
		return 0, fmt.Errorf("parse %s: %q is no number", path, text)
	}
	return n, nil
}

// parseCounter reads the value of key from the text of a file of "key value" lines.
func parseCounter(path, text, key string) (uint64, error) {
	n, ok := line(key)(text)
	if !ok {
		return 0, fmt.Errorf("parse %s: no %s", path, key)
	}
	return uint64(n), nil
}
