package spawn

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// self is what this process is and its children would inherit.
type self struct {
	uids, gids                             [3]uint32 // real, effective, saved
	groups                                 []uint32  // sorted
	sigIgn                                 uint64    // bit n-1: signal n is ignored
	capInh, capPrm, capEff, capBnd, capAmb uint64    // bit n: capability n
}

func readSelf() (self, error) {
	var we self
	for i, id := range sys.Getresuid() {
		we.uids[i] = uint32(id)
	}
	for i, id := range sys.Getresgid() {
		we.gids[i] = uint32(id)
	}
	groups, err := sys.Getgroups()
	if err != nil {
		return we, fmt.Errorf("read own groups: %w", err)
	}
	for _, g := range groups {
		we.groups = append(we.groups, uint32(g))
	}
	slices.Sort(we.groups)

	status, err := os.ReadFile("/proc/thread-self/status") // the main thread may have been a lane's, which gave up its own
	if err != nil {
		return we, err
	}
	return we, we.readSets(string(status))
}

// readSets reads the sets of man 5 proc_pid_status.
func (we *self) readSets(status string) error {
	wanted := map[string]*uint64{
		"SigIgn": &we.sigIgn,
		"CapInh": &we.capInh,
		"CapPrm": &we.capPrm,
		"CapEff": &we.capEff,
		"CapBnd": &we.capBnd,
		"CapAmb": &we.capAmb,
	}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		set, ok := wanted[key]
		if !ok {
			continue
		}
		bits, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return fmt.Errorf("read own status: %s: %w", key, err)
		}
		*set = bits
		delete(wanted, key)
	}
	for key := range wanted {
		return fmt.Errorf("read own status: no %s", key)
	}
	return nil
}
