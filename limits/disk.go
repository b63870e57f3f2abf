package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// disk is the device number of a disk: of a node, of what a file system lies on, or as it is written. The kernel limits
// whole disks: for a partition it is the disk around it.
func disk(path string) (major, minor int64, err error) {
	if major, minor, ok := parseDevice(path); ok {
		return wholeDisk(major, minor)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "find the disk of", Path: path, Err: err}
	}
	number := st.Dev
	if st.Mode&syscall.S_IFMT == syscall.S_IFBLK {
		number = st.Rdev
	}
	if major, minor = sys.DeviceNumbers(number); major == 0 { // tmpfs, overlay and others have no device
		return 0, 0, fmt.Errorf("find the disk of %s: its file system lies on no single disk", path)
	}
	return wholeDisk(major, minor)
}

func wholeDisk(major, minor int64) (int64, int64, error) {
	here := fmt.Sprintf("/sys/dev/block/%d:%d", major, minor)
	dir, err := filepath.EvalSymlinks(here)
	if err != nil {
		return 0, 0, fmt.Errorf("find disk %d:%d: %v", major, minor, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err != nil {
		return major, minor, nil
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "dev"))
	if err != nil {
		return 0, 0, fmt.Errorf("find disk of partition %d:%d: %v", major, minor, err)
	}
	major, minor, _ = parseDevice(strings.TrimSpace(string(text)))
	return major, minor, nil
}

// parseDevice reads "MAJOR:MINOR".
func parseDevice(s string) (major, minor int64, ok bool) {
	left, right, ok := strings.Cut(s, ":")
	major, merr := strconv.ParseInt(left, 10, 32)
	minor, nerr := strconv.ParseInt(right, 10, 32)
	return major, minor, ok && merr == nil && nerr == nil && major >= 0 && minor >= 0
}

var errNoShares = errors.New("no disk of this host is shared by weight: that takes the scheduler bfq or, on cgroup v2, io.cost")

// schedulerBFQ reports whether a disk of this host has the one scheduler that knows weights
// (Documentation/block/bfq-iosched.rst).
func schedulerBFQ() bool {
	files, _ := filepath.Glob("/sys/block/*/queue/scheduler")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "[bfq]") {
			return true
		}
	}
	return false
}
