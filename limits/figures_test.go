package limits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFormsOfCounters(t *testing.T) {
	const ioStat = "254:0 rbytes=4096 wbytes=10 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=4 wbytes=0 rios=1 wios=0\n"
	const blkio = "254:0 Read 4096\n254:0 Write 10\n254:0 Sync 4106\n8:0 Read 4\nTotal 4110\n"
	for _, c := range []struct {
		read func(string) (int64, bool)
		text string
		want int64
		ok   bool
	}{
		{number, "42\n", 42, true},
		{number, "max\n", 0, false},
		{number, "", 0, false},
		{line("oom_kill"), "oom 3\noom_kill 2\noom_group_kill 0\n", 2, true},
		{line("oom_kill"), "oom 3\n", 0, false},
		{line("high"), "low 0\nhigh x\n", 0, false},
		{sum("rbytes="), ioStat, 4100, true},
		{sum("wios="), ioStat, 2, true},
		{sum("rbytes="), "", 0, true},
		{sum("Read "), blkio, 4100, true},
		{sum("Write "), blkio, 10, true},
		{micro(number), "1999\n", 1, true},
	} {
		if n, ok := c.read(c.text); n != c.want || ok != c.ok {
			t.Errorf("%q: %d %v, want %d %v", c.text, n, ok, c.want, c.ok)
		}
	}
}

func TestFiguresAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if !strings.Contains(string(page), "`"+f.name+"`") {
			t.Errorf("docs/control.md does not have %s", f.name)
		}
	}
}

// TestFiguresOfALivingGroup has a process use something of everything.
func TestFiguresOfALivingGroup(t *testing.T) {
	g := group(t, Limits{Memory: 64 << 20, PIDs: 20, CPU: 0.1, Kill: true})
	l := leaf(t, g, "a")
	cmd, _ := start(t, l, "", "/bin/sh", "-c", "sleep 1000 & while :; do :; done")
	var got map[string]int64
	for deadline := time.Now().Add(patience); (got["throttled_usec"] == 0 || got["pids"] < 2) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got = g.Figures()
	}
	for name, least := range map[string]int64{
		"memory_bytes": 4096, "memory_peak_bytes": 4096, "pids": 2, "pids_peak": 2, "throttled": 1, "throttled_usec": 1,
		"cpu_usec": 1000, "oom_kills": 0, "memory_max_hits": 0, "pids_max_hits": 0,
	} {
		if n, ok := got[name]; !ok || n < least {
			t.Errorf("%s is %d (there: %v), want %d at least", name, n, ok, least)
		}
	}
	if hits := hits(t, g); hits["cpu"] != got["throttled"] && hits["cpu"] == 0 || hits["memory"] != 0 || hits["pids"] != 0 {
		t.Errorf("hits %v", hits)
	}
	l.Kill()
	cmd.Wait()
}

// TestFiguresOfNothing: a host without cgroups has none, and that is no error.
func TestFiguresOfNothing(t *testing.T) {
	tree, err := openTree("aem", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	g, err := tree.Group("app", Limits{})
	if err != nil || len(g.Figures()) != 0 || len(g.Hits()) != 0 || len(g.Signals()) != 0 || g.Untold() {
		t.Errorf("%v, figures %v", err, g.Figures())
	}
}

func FuzzCounters(f *testing.F) {
	f.Add("oom_kill 2\n", "8:0 rbytes=4\n")
	f.Fuzz(func(t *testing.T, lines, disks string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"memory.events": lines, "io.stat": disks} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		g := &Group{places: []*place{{hierarchy: &hierarchy{unified: true}, dir: dir}}}
		g.Figures()
	})
}
