package limits

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/cgroups/v3"
)

// hierarchy is one mounted cgroup file system, with the supervisor's own place in it.
type hierarchy struct {
	unified     bool
	controllers []string // v1: bound to the mount; unified: handed down to us
	mount       string   // where it is mounted
	home        string   // the supervisor's own cgroup: NAME is made below it
	localPIDs   bool     // mounted with pids_localevents
	refused     error    // why nothing can be made below home; nil: it can
}

// discover finds the hierarchies from the texts of /proc/self/cgroup and /proc/self/mountinfo (man 7 cgroups,
// man 5 proc_pid_mountinfo). A supervisor that moved itself into leaf and was executed again finds its old home.
func discover(leaf, cgroup, mountinfo string) ([]*hierarchy, error) {
	v1, v2, err := cgroups.ParseCgroupFromReaderUnified(strings.NewReader(cgroup))
	if err != nil {
		return nil, fmt.Errorf("parse /proc/self/cgroup: %v", err)
	}
	if filepath.Base(v2) == leaf {
		v2 = filepath.Dir(v2)
	}
	var found []*hierarchy
	for line := range strings.Lines(mountinfo) {
		left, right, _ := strings.Cut(line, " - ")
		place, fs := strings.Fields(left), strings.Fields(right)
		if len(place) < 5 || len(fs) < 3 {
			continue
		}
		h, own := &hierarchy{mount: filepath.Join("/", place[4])}, ""
		options := strings.Split(fs[2], ",")
		switch fs[0] {
		case "cgroup2":
			h.unified, own = true, v2
			h.localPIDs = slices.Contains(options, "pids_localevents")
		case "cgroup":
			for _, o := range options {
				if path, ok := v1[o]; ok {
					h.controllers, own = append(h.controllers, o), path
				}
			}
		}
		below, err := filepath.Rel(place[3], own)
		if own != filepath.Clean(own) || err != nil || !filepath.IsLocal(below) {
			continue // not a cgroup mount, or one that does not show our own cgroup ("/../other" in a namespace)
		}
		h.home = filepath.Join(h.mount, below)
		found = append(found, h)
	}
	// The unified tree first: its kill is the surest, and controllers are never in two trees.
	slices.SortStableFunc(found, func(a, b *hierarchy) int { return rank(a) - rank(b) })
	return found, nil
}

func rank(h *hierarchy) int {
	if h.unified {
		return 0
	}
	return 1
}

// probe learns what the file system itself says: the controllers handed down to us, and whether we may make groups.
func (h *hierarchy) probe() {
	const writable = 2 // W_OK, man 2 access; it also tells of a read-only mount, usual in containers
	if err := syscall.Access(h.home, writable); err != nil {
		h.refused = &os.PathError{Op: "write to", Path: h.home, Err: err}
	}
	if h.unified {
		offered, _ := os.ReadFile(filepath.Join(h.home, "cgroup.controllers"))
		h.controllers = strings.Fields(string(offered))
	}
}

// usable reports why a controller of the hierarchy cannot limit groups of ours.
func (h *hierarchy) usable(controller string) error {
	if h.refused != nil {
		return fmt.Errorf("controller %s: %v", controller, h.refused)
	}
	return nil
}
