package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

var psi = aemtest.Feature{Name: "pressure stall information", Probe: pressureType.Probe}

// crowd is a cgroup of the test's own, whose pressure nobody else makes.
type crowd struct {
	t    *testing.T
	name string // as Pressure has it
	busy []*exec.Cmd
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	aemtest.Require(t, aemtest.Root, psi)
	c := &crowd{t: t, name: "/aem-test-pressure-" + strconv.Itoa(os.Getpid())}
	c.make()
	t.Cleanup(func() { c.rest(); c.remove() })
	return c
}

func (c *crowd) dir() string { return filepath.Dir(pressureFile("cpu", c.name)) }

func (c *crowd) make() {
	c.t.Helper()
	if err := os.Mkdir(c.dir(), 0o755); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crowd) remove() {
	for end := time.Now().Add(patience); os.Remove(c.dir()) != nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
}

// work has more processes compute than there are cores.
func (c *crowd) work() {
	c.t.Helper()
	for range 2 * runtime.NumCPU() {
		p := exec.Command("sh", "-c", "echo $$ >"+c.dir()+"/cgroup.procs; while :; do :; done")
		if err := p.Start(); err != nil {
			c.t.Fatal(err)
		}
		c.busy = append(c.busy, p)
	}
}

// rest ends them.
func (c *crowd) rest() {
	for _, p := range c.busy {
		p.Process.Kill()
		p.Wait()
	}
	c.busy = nil
}

func TestPressureIsTold_R020_R174(t *testing.T) {
	c := newCrowd(t)
	d, s := newDesk(t, "pressure")
	each := Pressure{Resource: "cpu", Some: Threshold{20 * time.Millisecond, 2 * time.Second}, Cgroup: c.name}
	edges := each
	edges.Clear = 4 * time.Second
	for id, spec := range []Pressure{each, edges} {
		if err := s.Start(aem.JobID(id), spec); err != nil {
			t.Fatal(err)
		}
	}
	told := func(id aem.JobID, state string) (n int) {
		for _, e := range d.detected {
			if e.job == id && e.text("state") == state {
				n++
			}
		}
		return n
	}
	c.work()
	d.until(t, "told twice", func() bool { return told(0, "high") >= 2 })
	c.rest()
	changes := func() (states []string) {
		for _, e := range d.detected {
			if e.job == 1 {
				states = append(states, e.text("state"))
			}
		}
		return states
	}
	d.until(t, "told that it is over", func() bool { all := changes(); return len(all) > 0 && all[len(all)-1] == "clear" })
	for i, state := range changes() { // the kernel may leave a pause that is longer than clear
		if want := []string{"high", "clear"}[i%2]; state != want {
			t.Errorf("told %v", changes())
		}
	}
	if told(0, "clear") != 0 {
		t.Error("an end was told that was not asked for")
	}
	f := d.detected[0].facts()
	if f["resource"] != "cpu" || f["total"] == "0" || f["avg"] == "" || f["avg_minute"] == "" || f["avg_long"] == "" {
		t.Errorf("facts %v", f)
	}

	s.Hold(0)
	c.work()
	d.until(t, "kept", func() bool { return s.(*pressures).Kept(0) > 0 })
	n := told(0, "high")
	s.Resume(0)
	if told(0, "high") <= n {
		t.Error("what was kept was not detected")
	}
	c.rest()
}

// TestPressureOfAGroupThatGoes: when its cgroup is removed a job fails, and goes on when that is there again.
func TestPressureOfAGroupThatGoes_R174(t *testing.T) {
	c := newCrowd(t)
	d, s := newDesk(t, "pressure")
	if err := s.Start(1, Pressure{Resource: "io", All: Threshold{time.Second, 2 * time.Second}, Cgroup: c.name}); err != nil {
		t.Fatal(err)
	}
	c.remove()
	d.until(t, "told", func() bool { return len(d.troubles) > 0 && strings.Contains(d.troubles[0].Error(), "is gone") })
	c.make()
	d.until(t, "well again", func() bool { return d.troubles[len(d.troubles)-1] == nil })
}

func TestPressureRefusesWhatCannotBe(t *testing.T) {
	good := Pressure{Resource: "memory", Some: Threshold{150 * time.Millisecond, 2 * time.Second}}
	for _, c := range []struct {
		change func(p *Pressure)
		want   string
	}{
		{func(p *Pressure) {}, ""},
		{func(p *Pressure) { p.Clear = 4 * time.Second }, ""},
		{func(p *Pressure) { p.Resource = "disk" }, `resource "disk": want one of memory, cpu, io`},
		{func(p *Pressure) { p.All = p.Some }, "exactly one of some, all"},
		{func(p *Pressure) { p.Some = Threshold{} }, "exactly one of some, all"},
		{func(p *Pressure) { p.Some.Window = 11 * time.Second }, "want a window of 500ms to 10s"},
		{func(p *Pressure) { p.Some.Window = 400 * time.Millisecond }, "want a window of 500ms to 10s"},
		{func(p *Pressure) { p.Some.Lost = 3 * time.Second }, "and a part of it"},
		{func(p *Pressure) { p.Clear = 3 * time.Second }, "clear: want at least twice the window"},
		{func(p *Pressure) { p.Cgroup = "x" }, "want an absolute path"},
	} {
		p := good
		c.change(&p)
		err := Check(p)
		if err == nil && c.want != "" || err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", p, err, c.want)
		}
	}

	aemtest.Require(t, psi)
	for want, change := range map[string]func(p *Pressure){
		"no such file":   func(p *Pressure) { p.Cgroup = "/there-is-none" },
		"multiple of 2s": func(p *Pressure) { p.Some.Window = time.Second },
	} {
		p := good
		change(&p)
		if err := CheckHost(p); err == nil && want != "multiple of 2s" || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
	if err := CheckHost(good); err != nil {
		t.Error(err)
	}
}
