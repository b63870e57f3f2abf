package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/config"
)

// everything states every key that says what runs, and how.
const everything = `
[app.a]
user = "nobody"
group = "daemon"
groups = ["bin"]
on_error_default = "retry"
boost = { 3 = { nice = -1, slice = "2ms" }, 4 = { realtime = 5 } }
[app.a.limits]
jobs = 11
jobs_of = { "topic*" = 12 }
activations = 13
activations_of = { thread = 14 }
queue_bytes = 15000
processes = 61
types = ["topic", "timer"]
agents = ["process", "thread"]
priority_max = 17
memory = 1800000
swap = 19000
memory_high = 1700000
memory_low = 1600000
pids = 20
cpu = 0.21
cpu_weight = 22
cpuset = "0"
io = { weight = 23, "/dev/null" = { rbps = 24 } }
hugetlb = { "2MB" = 25 }
unified = { "cpu.idle" = "26" }
on_missing = ["io", "hugetlb"]
[app.a.policy]
seccomp = "default"
seccomp_arches = ["x86"]
seccomp_ready = "handler"
mode = "log"
capabilities = ["net_bind_service", "chown"]
namespaces = ["uts", "net"]
read_only = true
paths = { read = ["/usr"], write = ["/srv", "/tmp"] }
signals = "own"
[app.a.handler.p]
agent = "process"
exec = ["/bin/true", "{topic}"]
life = "resident"
size = 27
concurrency = 28
handover = "direct"
dir = "/srv"
env = { KEY = "value" }
pass_env = ["PASSED"]
umask = "0031"
rlimits = { nofile = 32 }
nice = 3
affinity = [0, 1, 2, 5]
ioprio = "best-effort:6"
oom_score_adj = 34
timeout = "35s"
ready_timeout = "36s"
kill_after = "37s"
leftover = "leave"
success = [38]
retries = 39
backoff = { first = "40s", factor = 4.1, max = "42s", jitter = 0.43 }
restart = { first = "44s", factor = 4.5, max = "46s", reset = "47s" }
arena = { size = 4800000, max = 49000000, alloc = "supervisor", copy = "shared" }
control = true
[app.a.handler.t]
agent = "thread"
call = "log"
args = { level = "warn" }
nice = 5
affinity = "7"
realtime = 51
concurrency = 52
timeout = "53s"
[app.a.event.e]
type = "topic"
topic = "other"
handlers = ["p", "t"]
priority = 9
start = false
once = true
full = "shed"
arrivals = "replace"
expire = "54s"
deadline = "55s"
silence = "56s"
filter = "topic != \"57\""
`

// explained are the lines that this comes to, as patterns.
const explained = `
event       a/e
type        topic
priority    9
starts      when it is told to, once
arrivals    replace, at a limit shed
filter      topic != "57"
expire      54s
deadline    55s
silence     56s
on error    retry
boost       from 3 nice -1 slice 2ms; from 4 realtime 5
user        nobody, uid 65534, gid 1, groups 1 2
limits      jobs 11, jobs_of."topic\*" 12, activations 13, activations_of."thread" 14, queue_bytes 15000, priority_max 17, processes 61, types topic timer, agents process thread, memory 1800000, swap 19000, memory_high 1700000, memory_low 1600000, pids 20, cpu 0.21, cpu_weight 22, cpuset 0, io.weight 23, io."/dev/null".rbps 24, hugetlb."2MB" 25, unified."cpu.idle" 26, on_missing io hugetlb
seccomp     default, from readiness on handler too, \d+ instructions, mode log
privileges  capabilities chown net_bind_service, no_new_privs
namespaces  mount net uts
reads       /usr
writes      /srv /tmp
signals     own
handler +p
agent +process, resident, 27 made ahead
program +/bin/true
arguments +\["/bin/true" "{topic}"\]
directory +/srv
umask +0031
handover +direct
descriptor 7 +the arena
descriptor 8 +the second filter
descriptor 9 +a connection to the supervisor \(docs/control.md\)
arena +4800000 bytes, up to 49000000, alloc supervisor, copy shared
environment +KEY=value
environment +PASSED=on
environment +USER=nobody
rlimits +nofile 32
nice +3
affinity +0-2,5
ioprio +best-effort:6
oom_score_adj +34
concurrency +28
timeout +35s
ready timeout +36s
kill after +37s
leftover +leave
success +38
retries +39
backoff +40s, times 4.1, up to 42s, of which 0.43 is random
restart +44s, times 4.5, up to 46s, anew after 47s
handler +t
agent +thread
call +log
args.level +warn
nice +5
affinity +7
realtime +51
concurrency +52
timeout +53s
`

// TestExplainTellsEverything has each key that says what runs found again in what is told, with its value.
func TestExplainTellsEverything(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PASSED", "on")
	explain := func(text string) string {
		if err := os.WriteFile("aem.toml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, stdout, stderr := command(t, "", "explain", "a/e")
		if status != 0 {
			t.Fatalf("%d: %s%s", status, stdout, stderr)
		}
		return stdout
	}
	told := explain(everything)
	for line := range strings.Lines(strings.TrimSpace(explained)) {
		if line = strings.TrimSpace(line); !regexp.MustCompile(`(?m)^` + line + ` *$`).MatchString(told) {
			t.Errorf("no %s in\n%s", line, told)
		}
	}
	for _, key := range keysOf(t) {
		if !regexp.MustCompile(`(?m)(^|[{,] *)` + key + ` = `).MatchString(everything) {
			t.Errorf("the file of this test has no %s", key)
		}
	}
	const small = "[app.a.event.e]\ntype = \"topic\"\nhandler = { exec = [\"/bin/true\"], handover = \"none\" }\n"
	for _, c := range []struct{ policy, line string }{
		{`user = "nobody"`, "privileges +no capabilities, no_new_privs"},
		{`user = "nobody"`, "namespaces +the supervisor's"},
		{`user = "nobody"`, "reads +everywhere"},
		{`user = "nobody"`, "writes +everywhere"},
		{`user = "root"`, "privileges +no capabilities, no_new_privs, no mounts"},
		{`user = "root"`, "namespaces +mount pid"},
		{"user = \"root\"\npolicy.namespaces = []", "privileges +no capabilities, no_new_privs"},
		{"user = \"root\"\npolicy.capabilities = [\"sys_admin\"]", "privileges +capabilities sys_admin, no_new_privs"},
		{"user = \"nobody\"\npolicy.read_only = true", "namespaces +mount"},
		{"user = \"nobody\"\npolicy.read_only = true", "writes +nowhere"},
		{"user = \"nobody\"\npolicy.paths.read = [\"/usr\"]", "writes +nowhere"},
		{"user = \"nobody\"\npolicy.paths.write = [\"/srv\"]", "reads +everywhere"},
		{"user = \"nobody\"\npolicy.signals = \"any\"", "signals +any"},
	} {
		if told := explain("[app.a]\n" + c.policy + "\n" + small); !regexp.MustCompile(`(?m)^` + c.line + ` *$`).MatchString(told) {
			t.Errorf("%s: no %s in\n%s", c.policy, c.line, told)
		}
	}
}

// keysOf are the keys of limits, policies, handlers and events, by the schema of the file.
func keysOf(t *testing.T) (keys []string) {
	t.Helper()
	type table struct{ Properties map[string]table }
	var schema struct {
		Defs map[string]table `json:"$defs"`
	}
	if err := json.Unmarshal(config.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	elsewhere := map[string]bool{"resources": true, // instead of others that are there
		"handler": true, "event": true, "limits": true, "policy": true, "start": true, "on_error": true} // tables, and what is the event's
	for _, t := range []table{schema.Defs["app"], schema.Defs["app"].Properties["limits"], schema.Defs["app"].Properties["policy"], schema.Defs["handler"]} {
		for key := range t.Properties {
			if !elsewhere[key] {
				keys = append(keys, key)
			}
		}
	}
	for key := range schema.Defs["event"].Properties {
		switch key {
		case "priority", "start", "once", "full", "arrivals", "expire", "deadline", "silence", "filter":
			keys = append(keys, key)
		}
	}
	return keys
}
