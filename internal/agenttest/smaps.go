package agenttest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Arena is the mapping that the handler's arena lies in, as /proc/PID/smaps tells of it (man 5 proc).
type Arena struct {
	Advised  bool // huge pages were asked for
	Resident int  // kB of it that are there
}

// Arena looks it up.
func (a *Agent) Arena() (found Arena) {
	a.t.Helper()
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", a.Cmd.Process.Pid))
	a.check(err)
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		var start, end uint64
		name, value, _ := strings.Cut(lines.Text(), ":")
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x ", &start, &end); err == nil {
			at := a.Box.Hello().ArenaAddr
			inside = start <= at && at < end
		}
		if !inside {
			continue
		}
		switch name {
		case "Rss":
			_, err = fmt.Sscan(value, &found.Resident)
			a.check(err)
		case "VmFlags":
			found.Advised = strings.Contains(value+" ", " hg ")
			return found
		}
	}
	a.t.Fatal("no mapping has the arena")
	return found
}
