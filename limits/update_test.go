package limits

import (
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// held is what the kernel says that it holds a group to.
func held(t *testing.T, g *Group) map[string]string {
	t.Helper()
	found := map[string]string{}
	for limit, files := range map[string][2]string{ // of v2 and v1
		"memory": {"memory.max", "memory.limit_in_bytes"}, "swap": {"memory.swap.max", "memory.memsw.limit_in_bytes"},
		"pids": {"pids.max", "pids.max"}, "cpu": {"cpu.max", "cpu.cfs_quota_us"}, "cpu_weight": {"cpu.weight", "cpu.shares"},
		"cpuset": {"cpuset.cpus", "cpuset.cpus"},
	} {
		p := g.limited[limit]
		if p == nil {
			continue
		}
		file := files[1]
		if p.unified {
			file = files[0]
		}
		text, err := readText(filepath.Join(p.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		found[limit] = strings.TrimSpace(text)
	}
	return found
}

// TestUpdateHoldsToOtherNumbers_R168 gives a group more and less of everything, and compares it with a group that was made so:
// its processes stay.
func TestUpdateHoldsToOtherNumbers_R168(t *testing.T) {
	small := Limits{Memory: 32 << 20, Swap: 8 << 20, PIDs: 4, CPU: 0.25, CPUWeight: 50}
	large := Limits{Memory: 256 << 20, Swap: 9 << 20, PIDs: 40, CPU: 0.5, CPUWeight: 500}
	// Less of memory and more of swap, and the other way round: on v1 the one is a part of the other.
	mixed := Limits{Memory: 16 << 20, Swap: 512 << 20, PIDs: 4, CPU: 0.001, CPUWeight: 1}
	aemtest.Require(t, enforces(small))
	g := group(t, small)
	inside, out := forks(t, leaf(t, g, "a"), 1)
	until(t, out, "1")
	before := small
	for _, is := range []Limits{large, small, mixed, large, mixed, small} {
		if err := g.Update(before, is); err != nil {
			t.Fatalf("%+v: %v", is, err)
		}
		other, err := g.tree.Group("other", is)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := held(t, g), held(t, other); !reflect.DeepEqual(got, want) {
			t.Errorf("held to %v, want %v", got, want)
		}
		if err := other.Remove(); err != nil {
			t.Error(err)
		}
		if room := int(is.PIDs) - 2; !g.Room(room) || g.Room(room+1) {
			t.Errorf("room for %d: %v, for one more: %v", room, g.Room(room), g.Room(room+1))
		}
		before = is
	}
	if n, err := g.PIDs(); err != nil || n != 2 {
		t.Errorf("%d processes are left, %v", n, err)
	}
	g.leaves["a"].Kill()
	inside.Wait()
}

// TestUpdateIsAllOrNothing_R168 asks for cores that are not there, among what can be had.
func TestUpdateIsAllOrNothing_R168(t *testing.T) {
	was := Limits{Memory: 64 << 20, PIDs: 4, CPU: 0.25, CPUSet: strconv.Itoa(lastCPU(t))}
	aemtest.Require(t, enforces(was))
	g := group(t, was)
	before := held(t, g)
	for _, memory := range []int64{32 << 20, 128 << 20} { // less is written first, more last
		err := g.Update(was, Limits{Memory: memory, PIDs: 9, CPU: 0.5, CPUSet: strconv.Itoa(maxCPUs - 1)})
		if err == nil || !strings.HasPrefix(err.Error(), "cpuset: ") {
			t.Errorf("update: %v", err)
		}
		if after := held(t, g); !reflect.DeepEqual(after, before) {
			t.Errorf("held to %v, want %v", after, before)
		}
		if g.Room(5) {
			t.Error("it counts to the new number")
		}
	}
}

// TestFixedKnowsNumbers_R168: numbers may change, and what is limited may not.
func TestFixedKnowsNumbers_R168(t *testing.T) {
	was := Limits{Memory: 1 << 20, PIDs: 4, IO: IO{Devices: []Device{{Path: "/dev/vda", Reads: 5}}}, Unified: []Raw{{"memory.oom.group", "0"}}}
	for name, c := range map[string]struct {
		change func(*Limits)
		same   bool
	}{
		"a number":          {func(l *Limits) { l.Memory, l.PIDs = 2<<20, 5 }, true},
		"a disk's number":   {func(l *Limits) { l.IO.Devices = []Device{{Path: "/dev/vda", Reads: 6}} }, true},
		"another disk":      {func(l *Limits) { l.IO.Devices = []Device{{Path: "/dev/vdb", Reads: 5}} }, false},
		"another of a disk": {func(l *Limits) { l.IO.Devices = []Device{{Path: "/dev/vda", Writes: 5}} }, false},
		"one less":          {func(l *Limits) { l.PIDs = 0 }, false},
		"one more":          {func(l *Limits) { l.CPU = 1 }, false},
		"swap at all":       {func(l *Limits) { l.Swap = 1 }, false},
		"a raw text":        {func(l *Limits) { l.Unified = []Raw{{"memory.oom.group", "1"}} }, false},
		"what is missing":   {func(l *Limits) { l.OnMissing = []string{"pids"} }, false},
	} {
		is := was
		if c.change(&is); reflect.DeepEqual(was.Fixed(), is.Fixed()) != c.same {
			t.Errorf("%s: the same %v, want %v", name, !c.same, c.same)
		}
	}
}
