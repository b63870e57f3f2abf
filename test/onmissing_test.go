package test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/limits"
)

// missingLimit is a limit as a file states it, of a supervisor that may make no cgroup.
type missingLimit struct {
	name    string
	app     string   // its limits
	handler string   // and a key of its handler
	said    string   // why it is refused
	with    []string // what else is missing then
}

var missing = []missingLimit{
	{"memory", `memory = "64MiB"`, "", "enforce memory: controller memory: write to /", nil},
	{"swap", "memory = \"64MiB\"\nswap = \"1MiB\"", "", "enforce memory, swap: controller memory: write to /", []string{"memory"}},
	{"memory_high", `memory_high = "32MiB"`, "", "enforce memory_high: controller memory: write to /", nil},
	{"memory_low", `memory_low = "16MiB"`, "", "enforce memory_low: controller memory: write to /", nil},
	{"pids", "pids = 10", "", "enforce pids: controller pids: write to /", nil},
	{"cpu", "cpu = 0.5", "", "enforce cpu: controller cpu: write to /", nil},
	{"cpu_weight", "cpu_weight = 50", "", "enforce cpu_weight: controller cpu: write to /", nil},
	{"cpuset", `cpuset = "0"`, "", "enforce cpuset: controller cpuset: write to /", nil},
	{"io", `io = { "/" = { rbps = "1MiB" } }`, "", "enforce io: controller ", nil},
	{"hugetlb", `hugetlb = { "2MB" = "2MiB" }`, "", "enforce hugetlb: controller hugetlb: ", nil},
	{"unified", `unified = { "cpu.idle" = "1" }`, "", "enforce unified: controller cpu: write to /", nil},
	{"kill", "", `leftover = "kill"`, "enforce kill: no group to kill: controller ", nil},
}

// TestOnMissing_R080 has each limit that a host may lack: the app is refused, with what is missing, unless on_missing names it.
// Then the app goes on, and it is said.
func TestOnMissing_R080(t *testing.T) {
	aemtest.Require(t, aemtest.Root) // to be somebody who may make no cgroup
	for _, name := range limits.Names {
		if !slices.ContainsFunc(missing, func(m missingLimit) bool { return m.name == name }) {
			t.Errorf("no test has %s", name)
		}
	}
	for _, m := range missing {
		t.Run(m.name, func(t *testing.T) {
			config := "[app.a.limits]\n" + m.app + "\n" + "$ON_MISSING\n[app.a.event.t]\ntype = \"topic\"\nhandler = \"h\"\n" + handlerKey(m.handler)
			file := func(names ...string) string {
				return strings.Replace(config, "$ON_MISSING", "on_missing = [\""+strings.Join(names, `", "`)+"\"]", 1)
			}
			others := slices.DeleteFunc(slices.Clone(limits.Names[:]), func(n string) bool { return n == m.name || slices.Contains(m.with, n) })
			s := prepare(t, nobody(), file(others...))
			if status, out := s.output("check"); status != 1 || !strings.Contains(out, "app.a.limits: "+m.said) || !strings.HasSuffix(out, "\n1 error\n") {
				t.Errorf("check ends with %d and says\n%swant\n%s", status, out, m.said)
			}
			if status, _ := s.output("run"); status != 1 {
				t.Errorf("run ends with %d", status)
			}
			s = start(t, nobody(), file(append(m.with, m.name)...))
			s.log.await(t, "going on without a limit that this host lacks, as on_missing says", "app=a", "limit="+m.name)
			s.must("emit", "a/t", "--wait")
			s.stop()
		})
	}
}
