package spawn

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// mount is what a line of man 5 proc_pid_mountinfo says.
type mount struct {
	id        uint64
	point, fs string
}

// parseMounts reads mountinfo; lines that say less are left out.
func parseMounts(text string) (all []mount) {
	for line := range strings.Lines(text) {
		left, right, _ := strings.Cut(line, " - ")
		place, fs := strings.Fields(left), strings.Fields(right)
		if len(place) < 5 || len(fs) < 1 {
			continue
		}
		id, err := strconv.ParseUint(place[0], 10, 64)
		if err == nil {
			all = append(all, mount{id, unescape(place[4]), fs[0]})
		}
	}
	return all
}

// unescape reads a path in which blanks and backslashes are written in octal.
func unescape(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if len(s) > 3 && s[0] == '\\' {
			if n, err := strconv.ParseUint(s[1:4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				s = s[4:]
				continue
			}
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

// readOnly are the mounts that cannot be written in the cell: those of cgroups, and with ReadOnly all but what lies at
// or beneath a writable path.
func (s *CellSpec) readOnly(mounts []mount) (points []string) {
	for _, m := range mounts {
		writable := func(path string) bool {
			return m.point == path || strings.HasPrefix(m.point, strings.TrimSuffix(path, "/")+"/")
		}
		if strings.HasPrefix(m.fs, "cgroup") || s.ReadOnly && !slices.ContainsFunc(s.Writable, writable) {
			points = append(points, m.point)
		}
	}
	return points
}

// mounts are those that can be reached in the cell: others lie over the rest.
func (c *Cell) mounts() ([]mount, error) {
	text, err := os.ReadFile(c.proc("mountinfo"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(parseMounts(string(text)), func(m mount) bool {
		id, err := sys.MountID(c.proc("root") + m.point)
		return err != nil || id != m.id
	}), nil
}

// furniture is what the steps that furnish a cell point to. Their list holds it, which has it be on the heap: on a stack
// that moved between a step's writing and its taking, cgroups would stay writable.
type furniture struct {
	all      []byte // "/"
	proc     []byte // "/proc"
	procfs   []byte
	readOnly sys.MountAttr
	points   [][]byte // of mounts that become read-only
	writable [][]byte
	loopback sys.Ifreq
}

// furnish has a process in the new namespaces make of them what the cell is to be.
func (m *Maker) furnish(c *Cell) error {
	f := &furniture{all: terminate("/"), proc: terminate("/proc"), procfs: terminate("proc")}
	f.readOnly.Attr_set = sys.MOUNT_ATTR_RDONLY
	copy(f.loopback.Name[:], "lo")
	f.loopback.Flags = sys.IFF_UP
	if c.spec.Namespaces&sys.CLONE_NEWNS != 0 {
		mounts, err := c.mounts()
		if err != nil {
			return err
		}
		for _, point := range c.spec.readOnly(mounts) {
			f.points = append(f.points, terminate(point))
		}
		if c.spec.ReadOnly {
			for _, path := range c.spec.Writable {
				f.writable = append(f.writable, terminate(filepath.Clean(path)))
			}
		}
	}
	return m.perform(&Plan{path: f.all, umask: -1}, &Vars{Cgroup: -1}, func(l *list) {
		l.furniture = f
		c.spec.furnish(l, f)
	})
}

// furnish writes the steps. Here nothing is anybody's to change yet, so the order matters only where a mount lies on
// another: what is to stay writable becomes a mount of its own before all others become read-only, and /proc too.
func (s *CellSpec) furnish(l *list, f *furniture) {
	if s.Namespaces&sys.CLONE_NEWNET != 0 {
		const socket = 0 // the lowest descriptor, and everything below the set is closed
		l.add("socket", sys.SYS_SOCKET, sys.AF_INET, sys.SOCK_DGRAM, 0)
		l.add("loopback", sys.SYS_IOCTL, socket, sys.SIOCSIFFLAGS, address(&f.loopback))
	}
	if s.Namespaces&sys.CLONE_NEWNS == 0 {
		return
	}
	l.add("mount private", sys.SYS_MOUNT, 0, address(&f.all[0]), 0, sys.MS_REC|sys.MS_PRIVATE, 0)
	for _, path := range f.writable {
		l.add("mount "+text(path), sys.SYS_MOUNT, address(&path[0]), address(&path[0]), 0, sys.MS_BIND|sys.MS_REC, 0)
	}
	if s.Namespaces&sys.CLONE_NEWPID != 0 {
		l.add("mount /proc", sys.SYS_MOUNT, address(&f.procfs[0]), address(&f.proc[0]), address(&f.procfs[0]),
			sys.MS_NOSUID|sys.MS_NODEV|sys.MS_NOEXEC, 0)
	}
	for _, point := range f.points {
		l.add("mount read-only "+text(point), sys.SYS_MOUNT_SETATTR, 0, address(&point[0]), 0, address(&f.readOnly), uintptr(sys.MountAttrSize))
	}
}

// text is a NUL-terminated text.
func text(b []byte) string { return string(b[:len(b)-1]) }
