package limits

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// rawFile is the form of the names of files of controllers.
var rawFile = regexp.MustCompile(`^[a-z]+(\.[A-Za-z0-9_-]+)+$`)

// controllersV2 are those of Documentation/admin-guide/cgroup-v2.rst that have files of their own.
var controllersV2 = []string{"cpu", "cpuset", "dmem", "hugetlb", "io", "memory", "misc", "pids", "rdma"}

// keysOf are the files, as patterns, that limits with names of their own are written to.
var keysOf = []struct{ file, key string }{
	{"memory.max", "memory"}, {"memory.swap.max", swap}, {"memory.high", "memory_high"}, {"memory.low", "memory_low"},
	{"pids.max", "pids"}, {"cpu.max", "cpu"}, {"cpu.weight", "cpu_weight"}, {"cpuset.cpus", "cpuset"},
	{"io.max", "io"}, {"io.weight", "io"}, {"io.bfq.weight", "io"}, {"hugetlb.*.max", "hugetlb"},
}

// KeyOf is the limit with a name of its own that a file of cgroup v2 belongs to, "" when there is none.
func KeyOf(file string) string {
	for _, k := range keysOf {
		if ok, _ := path.Match(k.file, file); ok && strings.Count(k.file, ".") == strings.Count(file, ".") {
			return k.key
		}
	}
	return ""
}

// CheckRaw reports a file that may not be written as it stands.
func CheckRaw(file string) error {
	controller, _, _ := strings.Cut(file, ".")
	switch {
	case !rawFile.MatchString(file):
		return fmt.Errorf("%q is no name of a cgroup's file, like memory.zswap.max", file)
	case file == "memory.oom.group":
		return errors.New("memory.oom.group would have the kernel end the supervisor with a child that it is just making; " +
			"what it means is done all the same: what an OOM kill leaves of a slot is killed")
	case controller == "cgroup":
		return fmt.Errorf("%s is for the supervisor to write", file)
	case !slices.Contains(controllersV2, controller):
		return fmt.Errorf("%s is of no controller of cgroup v2 (%s)", file, strings.Join(controllersV2, " "))
	}
	return nil
}
