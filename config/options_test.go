package config_test

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sockstate"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestDefaults(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	o := parse(t, hello).Options
	app := o.Apps[0]
	handler, event := app.Handlers[0], app.Events[0]
	same(t, "handler", handler, executor.Spec{
		Name: "hello", Agent: executor.Process, Exec: []string{filepath.Join(dir, "hello")}, Life: executor.Cold,
		Handover: executor.Stdin, Concurrency: 32, Dir: dir, Umask: 0o022,
		ReadyTimeout: 5 * time.Second, KillAfter: 5 * time.Second, Leftover: executor.KillLeftover,
		Success: []int{0}, Retries: 3,
		Backoff:   executor.Backoff{First: time.Second, Factor: 2, Max: 5 * time.Minute, Jitter: 0.1},
		Restart:   executor.Backoff{First: 500 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Reset: time.Minute},
		ArenaSize: 1 << 20, ArenaMax: 64 << 20, Alloc: executor.SupervisorAlloc, Copy: executor.DirectCopy,
	})
	same(t, "event", event, supervisor.Registration{
		Name: "hello", Source: source.Timer{Every: time.Second, First: time.Second}, Handlers: []string{"hello"},
		Priority: 10, Start: true, Full: supervisor.HoldFull, Arrivals: supervisor.EachArrival,
	})
	same(t, "seccomp", app.Seccomp.Name, "default")
	app.Handlers, app.Events, app.Seccomp = nil, nil, nil
	same(t, "app", app, supervisor.App{
		Name: "web", Start: true,
		Limits: limits.Limits{Jobs: 1000, Activations: 256, QueueBytes: 64 << 20, PriorityMax: 15},
	})
	o.Apps = nil
	same(t, "supervisor", o, supervisor.Options{
		Grace: 10 * time.Second, DeadLetters: 1000, Control: supervisor.Control{Mode: 0o600},
		Log: supervisor.Log{Level: slog.LevelInfo, Format: "text"},
	})
}

// everything is a file that states what defaults do not tell of.
const everything = `
[supervisor]
state_dir = "state"
log.level = "debug"
[app.web]
on_error = "a"
on_error_default = "stop"
[app.web.boost]
15 = { realtime = 7 }
2  = { slice = "1ms" }
10 = { nice = -5, slice = "100us" }
[app.web.limits]
swap = "1K"
memory = 65536
cpu = 2
cpu_weight = 50
cpuset = "0-1,4"
memory_high = 60000
memory_low = 4096
hugetlb = { "2MB" = "4M", "1GB" = 0 }
unified = { "memory.zswap.max" = "0" }
io = { weight = 7, "/dev/vda" = { rbps = "1M", wiops = 5 }, "8:0" = { wbps = 9, riops = 8 } }
jobs_of = { "socket.*" = 10, process = 5 }
activations_of = { topic = 7 }
processes = 9
on_missing = ["memory", "swap"]
[app.web.policy]
seccomp = "none"
[app.web.handler.b]
exec = ["bin/b", "{peer}"]
handover = "direct"
life = "capsule"
dir = "work"
leftover = "kill"
success = "any"
rlimits = { nofile = 1024, core = "unlimited", stack = "8M" }
nice = -5
ioprio = "best-effort:6"
affinity = "0-2,5"
oom_score_adj = 500
[app.web.handler.a]
agent = "callback"
call = "emit"
args = { topic = "news" }
[app.web.event.z]
type = "socket.accept"
listen = ["unix:///run/z", "tcp://127.0.0.1:1", "fd://web"]
mode = "0660"
owner = "root"
group = "33"
backlog = 7
reuseport = true
per_peer = 3
allow = ["127.0.0.1", "10.1.2.3/8", "::1"]
rate = "10/5m"
handler = "b"
[app.web.event.y]
type = "timer"
every = "1d1h"
first = "now"
once = true
handlers = ["a"]
[app.web.event.x]
type = "topic"
handler = { exec = ["cat"], handover = "data" }
[app.web.event.w]
type = "supervisor.limit"
handler = "a"
[app.web.event.v]
type = "supervisor.failed"
apps = ["*"]
handler = "a"
[app.web.event.r]
type = "socket.read"
listen = "unix:@r"
handler = "a"
[app.web.event.ended]
type = "socket.close"
of = "r"
handler = "a"
[app.web.event.states]
type = "socket.state"
ports = [80, 443]
addresses = ["10.0.0.0/8"]
states = ["ESTABLISHED", "CLOSE"]
handler = "a"
[app.web.event.q]
type = "socket.read"
listen = "unixgram:@q"
handler = "a"
[app.web.event.p]
type = "socket.read"
listen = "unix:@p"
frame = "length"
max_bytes = "1M"
connections = 5
handler = "a"
[app.app]
`

func parseEverything(t *testing.T) supervisor.Options {
	t.Helper()
	f, err := config.Parse("/etc/aem/{x}/aem.toml", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	return f.Options
}

func TestOptions(t *testing.T) {
	o := parseEverything(t)
	same(t, "state_dir", o.StateDir, "/etc/aem/{x}/state")
	same(t, "log level", o.Log.Level, slog.LevelDebug)
	same(t, "second app", o.Apps[1].Name, "app")
	web := o.Apps[0]
	same(t, "limits", web.Limits, limits.Limits{Jobs: 1000, Activations: 256, QueueBytes: 64 << 20, PriorityMax: 15,
		JobsOf: []limits.Of{{What: "process", Most: 5}, {What: "socket.*", Most: 10}}, ActivationsOf: []limits.Of{{What: "topic", Most: 7}}, Processes: 9,
		Memory: 65536, Swap: 1024, CPU: 2, CPUWeight: 50, CPUSet: "0-1,4", MemoryHigh: 60000, MemoryLow: 4096,
		HugeTLB: []limits.HugeTLB{{Size: "1GB"}, {Size: "2MB", Bytes: 4 << 20}}, Unified: []limits.Raw{{File: "memory.zswap.max", Text: "0"}},
		IO:   limits.IO{Weight: 7, Devices: []limits.Device{{Path: "/dev/vda", ReadBytes: 1 << 20, Writes: 5}, {Path: "8:0", WriteBytes: 9, Reads: 8}}},
		Kill: true, OnMissing: []string{"memory", "swap"}})
	same(t, "seccomp", web.Seccomp, (*policy.Profile)(nil))

	same(t, "on_error", web.Events[len(web.Events)-1], supervisor.Registration{
		Name: "on_error", Source: source.Notice{Kind: "supervisor.error", Apps: []string{"web"}}, Handlers: []string{"a"},
		Priority: 10, Start: true, Full: supervisor.HoldFull, Arrivals: supervisor.EachArrival,
	})
	same(t, "on_error_default", web.OnError, supervisor.StopError)
	same(t, "boost", web.Boost, executor.Boost{
		{From: 2, Slice: time.Millisecond}, {From: 10, Nice: new(-5), Slice: 100 * time.Microsecond}, {From: 15, Realtime: 7},
	})

	b, a, x := web.Handlers[0], web.Handlers[1], web.Handlers[2]
	same(t, "exec", b.Exec, []string{"/etc/aem/{{x}/bin/b", "{peer}"})
	same(t, "dir", b.Dir, "/etc/aem/{x}/work")
	same(t, "size", b.Size, 4)
	same(t, "any success", b.AnySuccess, true)
	same(t, "leftover set", b.LeftoverSet, true)
	same(t, "rlimits", b.Rlimits, []executor.Rlimit{{Resource: 3, Value: 8 << 20}, {Resource: 4, Value: ^uint64(0)}, {Resource: 7, Value: 1024}})
	same(t, "scheduling", b.Scheduling, executor.Scheduling{Nice: new(-5), CPUs: []int{0, 1, 2, 5}, IOPriority: 2<<13 | 6, OOMScoreAdj: new(500)})
	same(t, "args", a.Args, map[string]any{"topic": "web/news"})
	same(t, "bare exec", x.Exec, []string{"cat"})
	same(t, "inline handler", x.Name, "x")
}

func TestOptionsOfEvents(t *testing.T) {
	web := parseEverything(t).Apps[0]
	z, y, n := web.Events[0], web.Events[1], web.Events[2]
	same(t, "accept", z.Source, source.Accept{
		Listen: []source.Address{{Scheme: "unix", Path: "/run/z"}, {Scheme: "tcp", IP: netip.MustParseAddrPort("127.0.0.1:1")}, {Scheme: "fd", Path: "web"}},
		Door: source.Door{Backlog: 7, ReusePort: true, Mode: 0o660, Owner: "root", Group: "33", PerPeer: 3, Rate: source.Rate{Count: 10, Per: 5 * time.Minute},
			Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}},
	})
	same(t, "close", web.Events[6].Source, source.Close{Of: "web/r"})
	same(t, "state", web.Events[7].Source, source.State{Ports: []uint16{80, 443}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, To: []sockstate.State{1, 7}})
	for i, want := range map[int]source.Read{
		5: {Name: "web/r", Listen: []source.Address{{Scheme: "unix", Path: "@r"}}, Frame: source.Chunk, MaxBytes: 64 << 10, Connections: 10_000},
		8: {Name: "web/q", Listen: []source.Address{{Scheme: "unixgram", Path: "@q"}}, Frame: source.Datagram, MaxBytes: 64 << 10, Connections: 10_000},
		9: {Name: "web/p", Listen: []source.Address{{Scheme: "unix", Path: "@p"}}, Frame: source.Length, MaxBytes: 1 << 20, Connections: 5},
	} {
		want.Door.Backlog = 4096
		same(t, "read", web.Events[i].Source, want)
	}
	same(t, "timer", y.Source, source.Timer{Every: 25 * time.Hour})
	same(t, "once", y.Once, true)
	same(t, "topic", n.Source, source.Topic{Name: "web/x"})
	same(t, "inline reference", n.Handlers, []string{"x"})
	same(t, "notices of the app", web.Events[3].Source, source.Notice{Kind: "supervisor.limit", Apps: []string{"web"}})
	same(t, "notices of all apps", web.Events[4].Source, source.Notice{Kind: "supervisor.failed", Apps: []string{"*"}})
}

// TestTheSameTextIsTheSameOptions: a reload of a file that nobody has touched changes nothing.
func TestTheSameTextIsTheSameOptions(t *testing.T) {
	files, err := filepath.Glob("../configs/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, parse(t, string(text)).Options, parse(t, string(text)).Options)
	}
}
