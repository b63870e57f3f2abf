package config_test

import (
	"strings"
	"testing"
)

// mistakes are files with something wrong and what is said about it. What unseen marks is beyond a schema: references,
// and what is told apart only by reading the text of a value.
var mistakes = []struct {
	text, want string
	unseen     bool
}{
	// Tables, keys and kinds.
	{text: "app = 5", want: `aem.toml:1: app: want a table`},
	{text: "supervisor = []", want: `aem.toml:1: supervisor: want a table`},
	{text: "[[app.web]]", want: `aem.toml:1: app.web: want a table`},
	{text: "\"we b\" = 1", want: `aem.toml:1: unknown key "we b"`},
	{text: "[app.\"we b\".limits]\njbos = 1", want: `aem.toml:1: app."we b": name "we b": want a small letter, then small letters, digits, _ or -
aem.toml:2: app."we b".limits: unknown key "jbos" (did you mean jobs?)`},
	{text: "[supervisor]\n\nlog = { level = \"loud\",\n  format = \"xml\" }", want: `aem.toml:3: supervisor.log.level: "loud" is not one of debug, info, warn, error
aem.toml:4: supervisor.log.format: "xml" is not one of text, json, journal`},
	{text: "[supervisor]\nlog.level = 3\ncontrol.mode = \"0999\"", want: `aem.toml:2: supervisor.log.level: want one of debug, info, warn, error
aem.toml:3: supervisor.control.mode: want an octal mode as a string, like "0600"`},
	{text: "[supervisor]\nruntime_dir = \"a\\u0000b\"\nstate_dir = 1", want: `aem.toml:2: supervisor.runtime_dir: a string here cannot hold a NUL byte
aem.toml:3: supervisor.state_dir: want a string`},
	{text: "[app.web]\nstart = \"yes\"\ngroups = \"audio\"", want: `aem.toml:2: app.web.start: want true or false
aem.toml:3: app.web.groups: want a list of strings`},

	{text: "jobs = 1\n[app.web]\nmemory = \"1M\"\n[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\nuser = \"www\"\npriority = 1\n[app.web.event.e]\ntype = \"topic\"\nhandler = \"h\"\ntimeout = \"1s\"", want: `aem.toml:1: unknown key "jobs" (a key of [app.NAME.limits])
aem.toml:3: app.web: unknown key "memory" (a key of [app.NAME.limits])
aem.toml:7: app.web.handler.h: unknown key "user" (a key of [app.NAME])
aem.toml:8: app.web.handler.h: unknown key "priority" (a key of [app.NAME.event.EVENT])
aem.toml:12: app.web.event.e: unknown key "timeout" (a key of [app.NAME.handler.HANDLER])`},
	{text: "[app.web.handler.h]\nexce = [\"cat\"]\nhandovr = \"none\"\n[app.web.event.e]\ntpye = \"topic\"\nhandler = \"h\"\n[app.web.event.x]\ntype = \"process.exit\"\npdi = 7\nhandlr = \"h\"\n[app.web.event.f]\ntype = \"file\"\npth = \"/x\"\nhandler = \"h\"", want: `aem.toml:2: app.web.handler.h: unknown key "exce" (did you mean exec?)
aem.toml:3: app.web.handler.h: unknown key "handovr" (did you mean handover?)
aem.toml:5: app.web.event.e: unknown key "tpye" (did you mean type?)
aem.toml:9: app.web.event.x: unknown key "pdi" (did you mean pid?)
aem.toml:10: app.web.event.x: unknown key "handlr" (did you mean handler?)
aem.toml:13: app.web.event.f: unknown key "pth" (did you mean path?)`},
	{text: "[supervisor]\n[app.web\nstart = true\n", want: `aem.toml:2: expected '.' or ']' to end table name, but got '\n' instead`},
	{text: "[app.web.limits]\ntypes = [\"tmier\"]\n[app.web.event.e]\ntype = \"topic\"\nhandler = { agent = \"callback\", call = \"log\" }", unseen: true,
		want: `aem.toml:2: app.web.limits.types: "tmier" means no event type (did you mean timer?)`},

	// Durations, sizes and numbers.
	{text: "[supervisor]\ngrace = \"-1s\"", want: `aem.toml:2: supervisor.grace: want a duration from 0s to 36500d`},
	{text: "[supervisor]\ngrace = \"1 s\"", want: `aem.toml:2: supervisor.grace: want a duration like "2s"`},
	{text: "[supervisor]\ngrace = \"40000d\"", unseen: true, want: `aem.toml:2: supervisor.grace: want a duration from 0s to 36500d`},
	{text: "[app.web.limits]\njobs = 0\nactivations = 1.5\nqueue_bytes = 0", want: `aem.toml:2: app.web.limits.jobs: want a whole number from 1 to 10000000
aem.toml:3: app.web.limits.activations: want a whole number from 1 to 10000000
aem.toml:4: app.web.limits.queue_bytes: want a size from 1 to 1048576GiB`},
	{text: "[app.web.limits]\nmemory = \"99999999999999999999G\"\npids = 5000000\ncpu = nan", want: `aem.toml:2: app.web.limits.memory: want a size like "64MiB"
aem.toml:3: app.web.limits.pids: want a whole number from 1 to 4194304
aem.toml:4: app.web.limits.cpu: want a number from 0.001 to 10000`},
	{text: "[app.web.limits]\nmemory = \"999999999999G\"", unseen: true, want: `aem.toml:2: app.web.limits.memory: want a size from 4KiB to 1048576GiB`},
	{text: "[app.web.limits]\nmemory = \"1M\"\nmemory_high = \"2M\"\nmemory_low = \"3M\"", unseen: true, want: `aem.toml:3: app.web.limits: memory_high is more than memory
aem.toml:4: app.web.limits: memory_low is more than memory`},
	{text: "[app.web.limits]\nmemory = 0\nswap = -1\nmemory_high = 0\nmemory_low = -1\npids = 0\ncpu = 0\ncpu_weight = 10001\ncpuset = \"3-1x\"", want: `aem.toml:2: app.web.limits.memory: want a size from 4KiB to 1048576GiB
aem.toml:3: app.web.limits.swap: want a size from 0 to 1048576GiB
aem.toml:4: app.web.limits.memory_high: want a size from 4KiB to 1048576GiB
aem.toml:5: app.web.limits.memory_low: want a size from 4KiB to 1048576GiB
aem.toml:6: app.web.limits.pids: want a whole number from 1 to 4194304
aem.toml:7: app.web.limits.cpu: want a number from 0.001 to 10000
aem.toml:8: app.web.limits.cpu_weight: want a whole number from 1 to 10000
aem.toml:9: app.web.limits.cpuset: "3-1x": want numbers and ranges of them, like "0-1,4"`},
	{text: "[app.web.limits]\ncpuset = \"3-1\"", unseen: true, want: `aem.toml:2: app.web.limits.cpuset: "3-1": want numbers and ranges of them, like "0-1,4"`},
	{text: "[app.web.limits.io]\nweight = 0\n\"/dev/vda\" = { rbps = 0, bps = 1 }\n\"/\" = {}\n\"/x\" = 5", want: `aem.toml:1: app.web.limits.io: /: want one of rbps, wbps, riops, wiops at least
aem.toml:1: app.web.limits.io: /dev/vda: bps: unknown key (rbps, wbps, riops, wiops)
aem.toml:1: app.web.limits.io: /dev/vda: rbps: want a size from 1 to 1048576GiB
aem.toml:1: app.web.limits.io: /x: want a table of rbps, wbps, riops, wiops
aem.toml:1: app.web.limits.io: weight: want a whole number from 1 to 1000`},
	{text: "[app.web.limits]\nio = { vda = { rbps = 1 } }", unseen: true, want: `aem.toml:2: app.web.limits.io: vda: want weight, or a path in the disk's file system or of its node, like "/dev/vda"`},
	{text: "[app.web.limits]\nhugetlb = { 2M = 1, \"2MB\" = -1 }", want: `aem.toml:2: app.web.limits.hugetlb: 2M: "2M" is not one of 64KB, 512KB, 1MB, 2MB, 8MB, 16MB, 32MB, 256MB, 512MB, 1GB, 2GB, 16GB (did you mean 2MB?)
aem.toml:2: app.web.limits.hugetlb: 2MB: want a size from 0 to 1048576GiB`},
	{text: "[app.web.limits.unified]\n\"memory.oom.group\" = \"1\"\n\"memory.max\" = \"1\"\n\"cgroup.freeze\" = \"1\"\n\"../x\" = \"\"\n\"memry.min\" = \"0\"", unseen: true, want: `aem.toml:1: app.web.limits.unified: ../x: "../x" is no name of a cgroup's file, like memory.zswap.max
aem.toml:1: app.web.limits.unified: cgroup.freeze: cgroup.freeze is for the supervisor to write
aem.toml:1: app.web.limits.unified: memory.max: it has a key of its own: memory
aem.toml:1: app.web.limits.unified: memory.oom.group: memory.oom.group would have the kernel end the supervisor with a child that it is just making; what it means is done all the same: what an OOM kill leaves of a slot is killed
aem.toml:1: app.web.limits.unified: memry.min: memry.min is of no controller of cgroup v2 (cpu cpuset dmem hugetlb io memory misc pids rdma)`},
	{text: "[app.web.limits]\nswap = \"1M\"", unseen: true, want: `aem.toml:2: app.web.limits: swap is beside memory: memory is missing`},

	{text: "[app.web]\nboost = { 15 = {}, 32 = { nice = 1 }, 07 = { nice = 1 }, 3 = 4, 4 = { slice = \"1us\" }, 5 = { realtime = 99 }, 6 = { nce = 1 }, 7 = { nice = -21 } }", want: `aem.toml:2: app.web.boost: 07: want a priority from 0 to 31
aem.toml:2: app.web.boost: 15: want one of nice, slice, realtime at least
aem.toml:2: app.web.boost: 3: want a table of nice, slice, realtime
aem.toml:2: app.web.boost: 32: want a priority from 0 to 31
aem.toml:2: app.web.boost: 4: slice: want a duration from 100µs to 36500d
aem.toml:2: app.web.boost: 5: realtime: want a whole number from 1 to 98
aem.toml:2: app.web.boost: 6: nce: unknown key (nice, slice, realtime)
aem.toml:2: app.web.boost: 7: nice: want a whole number from -20 to 19`},
	{text: "[app.web]\nboost = { 15 = { realtime = 1, nice = 1 }, 14 = { slice = \"101ms\" } }", unseen: true, want: `aem.toml:2: app.web.boost: 14: slice: want a duration from 100us to 100ms
aem.toml:2: app.web.boost: 15: realtime stands alone: nice and slice are of the other class`},
	{text: "[app.web]\nboost = { 16 = { nice = 1 } }", unseen: true, want: `aem.toml:2: app.web.boost: 16: it is above the app's priority_max 15`},
	{text: "[app.web]\nboost = { 1 = { slice = \"1ms\" }, 2 = { slice = \"2ms\" }, 3 = { nice = -1 }, 4 = { slice = \"1ms\" }, 5 = { nice = 0 }, 6 = { realtime = 5 }, 7 = { realtime = 4 }, 8 = { nice = -9 } }", unseen: true,
		want: `aem.toml:2: app.web.boost: 2: it is less urgent than 1
aem.toml:2: app.web.boost: 4: it is less urgent than 3
aem.toml:2: app.web.boost: 7: it is less urgent than 6
aem.toml:2: app.web.boost: 8: it is less urgent than 7`},

	// Limits and policy.
	{text: "[app.web.limits]\ntypes = [\"sokcet.*\",\n\"device\", \"topic\"]", unseen: true, want: `aem.toml:2: app.web.limits.types: "sokcet.*" means no event type`},
	{text: "[app.web.limits]\nagents = [\"proces\"]\non_missing = [\"memroy\"]", want: `aem.toml:2: app.web.limits.agents: "proces" is not one of process, callback, thread (did you mean process?)
aem.toml:3: app.web.limits.on_missing: "memroy" is not one of memory, swap, memory_high, memory_low, pids, cpu, cpu_weight, cpuset, io, hugetlb, unified, kill (did you mean memory?)`},
	{text: "[app.web.limits]\non_missing = \"accept\"", want: `aem.toml:2: app.web.limits.on_missing: want a list of strings, or "refuse"`},
	{text: "[app.web.event.e]\ntype = \"supervisor.limit\"\nhandler = \"h\"\napps = [\"[\", \"\", \"b*\"]\n[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"", unseen: true,
		want: `aem.toml:4: app.web.event.e.apps: "[" is no name or pattern
aem.toml:4: app.web.event.e.apps: "" is no name or pattern`},
	{text: "[app.web.policy]\nseccomp = \"none\"\nmode = \"log\"", unseen: true, want: `aem.toml:3: app.web.policy: mode is log, and with seccomp none there is nothing to record`},
	{text: "[app.web.policy]\nseccomp_ready = \"none\"", want: `aem.toml:2: app.web.policy.seccomp_ready: want default, handler or a path with a slash, like "./seccomp.json"`},
	{text: "[app.web.policy]\nseccomp_ready = \"handler\"\n[app.web.event.e]\ntype = \"topic\"\nhandler = { exec = [\"cat\"], handover = \"data\" }", unseen: true,
		want: `aem.toml:5: app.web.event.e.handler: policy.seccomp_ready needs handover direct: a program without our SDK cannot install a second filter`},
	{text: "[app.web.policy]\nseccomp = \"defalt\"\nseccomp_arches = [\"x87\"]", want: `aem.toml:2: app.web.policy.seccomp: want default, handler, none or a path with a slash, like "./seccomp.json"
aem.toml:3: app.web.policy.seccomp_arches: "x87" is not one of x86, x32, arm (did you mean x86?)`},
	{text: "[app.web.policy]\nseccomp_arches = [\"x86\"]\nseccomp = \"/no/none.json\"", unseen: true, want: `aem.toml:2: app.web.policy: seccomp_arches is for default and handler: a file names its own
aem.toml:3: app.web.policy.seccomp: read seccomp profile: open /no/none.json: no such file or directory`},
	{text: "[app.web.policy]\ncapabilities = [\"net_bind_servise\", \"CAP_KILL\"]\nnamespaces = [\"network\"]\nsignals = \"none\"\npaths = {}",
		want: `aem.toml:2: app.web.policy.capabilities: "net_bind_servise" is no capability (did you mean net_bind_service?)
aem.toml:3: app.web.policy.namespaces: "network" is not one of mount, pid, net, ipc, uts, user
aem.toml:4: app.web.policy.signals: "none" is not one of own, any
aem.toml:5: app.web.policy: paths wants read or write`},
	{text: hello + "[app.web.limits]\ntypes = [\"socket.*\"]\nagents = [\"callback\"]\npriority_max = 9", unseen: true,
		want: `aem.toml:1: app.web.handler.hello: the app's limits do not allow agent process
aem.toml:4: app.web.event.hello: priority 10 is above the app's priority_max 9
aem.toml:5: app.web.event.hello: the app's limits do not allow type timer`},
	{text: "[app.web.limits]\njobs_of = { \"sokcet.*\" = 1 }", unseen: true, want: `aem.toml:2: app.web.limits.jobs_of: sokcet.*: "sokcet.*" means no event type`},
	{text: "[app.web.limits]\njobs_of = { timer = 0 }\nactivations_of = 3", want: `aem.toml:2: app.web.limits.jobs_of: timer: want a whole number from 1 to 10000000
aem.toml:3: app.web.limits.activations_of: want a table of numbers, like { "socket.*" = 10 }`},
	{text: hello + "[app.web.handler.r]\nexec = [\"r\"]\nhandover = \"direct\"\nlife = \"resident\"\nsize = 3\n[app.web.event.r]\ntype = \"topic\"\nhandler = \"r\"\n[app.web.limits]\nprocesses = 3", unseen: true,
		want: `aem.toml:17: app.web.limits: the app's handlers need 4 at least: each resident one, and one for all others`},
	{text: hello + "[app.web.event.again]\ntype = \"timer\"\nafter = \"1s\"\nhandler = \"hello\"\n[app.web.limits]\njobs_of = { process = 2, \"*\" = 1, callback = 1 }", unseen: true,
		want: `aem.toml:13: app.web.limits: the app declares 2 jobs of "*", more than its limit of 1`},
	{text: hello + "[app.web.event.again]\ntype = \"timer\"\nafter = \"1s\"\nhandler = \"hello\"\n[app.web.limits]\njobs = 1", unseen: true,
		want: `aem.toml:13: app.web.limits: the app declares 2 jobs, more than its limit of 1`},

	// Handlers.
	{text: "[app.web.handler.h]", want: `aem.toml:1: app.web.handler.h: handover is missing (direct: uses our SDK; socket: the connection on stdin and stdout; stdin: the event as JSON; data: its bytes; none)
aem.toml:1: app.web.handler.h: exec is missing: the program and its arguments`},
	{text: "[app.web.handler]\nh = 1", want: `aem.toml:2: app.web.handler.h: want a table`},
	{text: "[app.web.handler.h]\nexec = []\nhandover = \"none\"\nsize = 4", want: `aem.toml:2: app.web.handler.h: exec is missing: the program and its arguments
aem.toml:4: app.web.handler.h: size is for capsule and resident: use concurrency`},
	{text: "[app.web.handler.h]\nexec = \"./h\"\nhandover = \"listen-fd\"\nlife = \"egg\"", want: `aem.toml:2: app.web.handler.h.exec: want a list of strings
aem.toml:3: app.web.handler.h.handover: "listen-fd" is not one of direct, socket, listen-fds, stdin, data, none (did you mean listen-fds?)
aem.toml:4: app.web.handler.h.life: "egg" is not one of cold, capsule, resident, zygote`},
	{text: "[app.web.handler.h]\nexec = [\"./h\"]\nhandover = \"socket\"\nlife = \"zygote\"", want: `aem.toml:3: app.web.handler.h: handover socket goes with life cold only: zygote wants direct`},
	{text: "[app.web.policy]\nseccomp = \"handler\"\n[app.web.handler.h]\nexec = [\"./h\"]\nhandover = \"direct\"\nlife = \"zygote\"", unseen: true, want: `aem.toml:6: app.web.handler.h: life zygote forks for each event, which seccomp = "handler" forbids`},
	{text: "[app.web.handler.h]\nexec = [\"./h\"]\nhandover = \"none\"\ncontrol = true", unseen: true, want: `aem.toml:4: app.web.handler.h: control is for handover direct, and not for life zygote: its copies would all have the same connection`},
	{text: "[app.web.handler.h]\nexec = [\"./h\"]\nhandover = \"direct\"\nlife = \"zygote\"\narena.alloc = \"app\"", unseen: true, want: `aem.toml:5: app.web.handler.h.arena: alloc app does not go with life zygote: each copy has its event where the zygote got it`},
	{text: "[app.web.handler.h]\nexec = [\"./h\"]\nhandover = \"stdin\"\nlife = \"resident\"", want: `aem.toml:3: app.web.handler.h: handover stdin goes with life cold only: resident wants direct`},
	{text: "[app.web.handler.h]\nexec = [\"{id}\", \"a{\", \"{ID}\", \"{peeer}\"]\nhandover = \"none\"", unseen: true, want: `aem.toml:2: app.web.handler.h.exec: the program cannot come from a fact
aem.toml:2: app.web.handler.h.exec: parse "{": want {name} or, for a brace, {{
aem.toml:2: app.web.handler.h.exec: parse "{ID}": want {name} or, for a brace, {{
aem.toml:2: app.web.handler.h.exec: unknown fact {peeer} (did you mean peer?)`},
	{text: "[app.web.handler.h]\nexec = [\"h\"]\nhandover = \"none\"\n[app.web.handler.h.rlimits]\nnofil = 1\ncore = -1\nas = \"lots\"", want: `aem.toml:5: app.web.handler.h.rlimits: unknown key "nofil" (did you mean nofile?)
aem.toml:6: app.web.handler.h.rlimits.core: want a size from 0 to 1048576GiB
aem.toml:7: app.web.handler.h.rlimits.as: want a size like "64MiB", or "unlimited"`},
	{text: "[app.web.handler.h]\nexec = [\"h\"]\nhandover = \"none\"\nenv = { A = 1, \"B=\" = \"b\" }\npass_env = [\"\"]\numask = \"22\"\nsuccess = [256]", want: `aem.toml:4: app.web.handler.h.env: A: want a string
aem.toml:4: app.web.handler.h.env: B=: "B=" cannot name an environment variable
aem.toml:5: app.web.handler.h.pass_env: "" cannot name an environment variable
aem.toml:6: app.web.handler.h.umask: want an octal mode as a string, like "0600"
aem.toml:7: app.web.handler.h.success: want a list of exit statuses from 0 to 255`},
	{text: "[app.web.handler.h]\nexec = [\"h\"]\nhandover = \"none\"\nbackoff.max = \"1ms\"\nrestart = { first = \"1h\" }\narena.max = \"4K\"", unseen: true, want: `aem.toml:4: app.web.handler.h.backoff: max is less than first
aem.toml:5: app.web.handler.h.restart: max is less than first
aem.toml:6: app.web.handler.h.arena: max is less than size`},
	{text: "[app.web.handler.h]\nexec = [\"h\"]\nhandover = \"direct\"\narena = { copy = \"shard\", alloc = \"map\" }", want: `aem.toml:4: app.web.handler.h.arena.alloc: "map" is not one of supervisor, app
aem.toml:4: app.web.handler.h.arena.copy: "shard" is not one of direct, shared (did you mean shared?)`},
	{text: "[app.web.handler.h]\nexec = [\"h\"]\nhandover = \"none\"\nnice = 20\nioprio = \"idle:1\"\naffinity = \"0-\"\noom_score_adj = 1.5\nrealtime = 99", want: `aem.toml:4: app.web.handler.h.nice: want a whole number from -20 to 19
aem.toml:5: app.web.handler.h.ioprio: want "idle", or a class and a level like "best-effort:4" or "realtime:0"
aem.toml:6: app.web.handler.h.affinity: want CPUs below 1024, like "0-2,5" or [0, 5]
aem.toml:7: app.web.handler.h.oom_score_adj: want a whole number from -1000 to 1000
aem.toml:8: app.web.handler.h.realtime: want a whole number from 1 to 98
aem.toml:8: app.web.handler.h: realtime is for thread`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\nnice = 1\naffinity = \"3-1\"\nioprio = \"idle\"\nrealtime = 1", want: `aem.toml:4: app.web.handler.h: nice is for process and thread
aem.toml:5: app.web.handler.h.affinity: want CPUs below 1024, like "0-2,5" or [0, 5]
aem.toml:5: app.web.handler.h: affinity is for process and thread
aem.toml:6: app.web.handler.h: ioprio is for process
aem.toml:7: app.web.handler.h: realtime is for thread`},
	{text: "[app.web.handler.h]\nexec = [\"h\"]\nhandover = \"direct\"\narena = { alloc = \"app\",\n max = \"64M\" }", unseen: true, want: `aem.toml:5: app.web.handler.h.arena: max is for alloc = "supervisor": an arena that the handler manages does not grow`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\nexec = [\"h\"]\nsize = 2\numask = \"0022\"", want: `aem.toml:1: app.web.handler.h: call is missing: the function to run
aem.toml:3: app.web.handler.h: exec is for process
aem.toml:4: app.web.handler.h: size is for capsule and resident: use concurrency
aem.toml:5: app.web.handler.h: umask is for process`},
	{text: "[app.web.handler.h]\nagent = \"thread\"\ncall = \"x\"", unseen: true, want: `aem.toml:3: app.web.handler.h: "x" is not a built-in (log, emit): a Go function needs the library embedded`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\nargs = { levle = \"info\", message = \"{nobody}\" }", unseen: true, want: `aem.toml:4: app.web.handler.h.args: unknown key "levle" (did you mean level?)
aem.toml:4: app.web.handler.h.args.message: unknown fact {nobody}`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"emit\"\nargs.topic = \"a/b/c\"\n[app.web.handler.i]\nagent = \"callback\"\ncall = \"emit\"", unseen: true, want: `aem.toml:4: app.web.handler.h.args: topic "a/b/c": want NAME or APP/NAME, of small letters, digits, _ and -
aem.toml:5: app.web.handler.i.args: topic is missing`},

	// Events and their handlers.
	{text: "[app.web.event.e]", want: `aem.toml:1: app.web.event.e: type is missing
aem.toml:1: app.web.event.e: want exactly one of handler and handlers`},
	{text: strings.Replace(hello, "\"hello\"", "\"\"", 1), want: `aem.toml:6: app.web.event.hello: unknown handler ""`},
	{text: strings.Replace(hello, "handler = \"hello\"", "handlers = \"hello\"", 1), want: `aem.toml:6: app.web.event.hello.handlers: want a list of strings`},
	{text: "[app.web.event]\ne = 1", want: `aem.toml:2: app.web.event.e: want a table`},
	{text: "[app.web.event.e]\ntype = 1\nhandler = 1", want: `aem.toml:2: app.web.event.e.type: want a string
aem.toml:3: app.web.event.e.handler: want a handler's name or its table`},
	{text: "[app.web.event.e]\ntype = \"device\"\nhandler = \"h\"\nlisten = \"x\"\naction = [\"plug\"]\nsubsystem = [\"[\"]", want: `aem.toml:3: app.web.event.e: unknown handler "h"
aem.toml:4: app.web.event.e: listen is no key of device (of socket.accept, socket.ready, socket.read)
aem.toml:5: app.web.event.e.action: "plug" is not one of add, remove, change, move, online, offline, bind, unbind
aem.toml:6: app.web.event.e.subsystem: "[" is no name or pattern`},
	{text: "[app.web.event]\na = { type = \"signal\", handler = \"h\" }\nb = { type = \"signal\", handler = \"h\", signal = [\"KILL\", \"USR1\", \"USR1\"] }\nc = { type = \"signal\", handler = \"h\", signal = 10 }\n[app.web.handler]\nh = { agent = \"callback\", call = \"log\" }", want: `aem.toml:2: app.web.event.a: signal is missing
aem.toml:3: app.web.event.b.signal: "KILL" is not one of ALRM, CONT, IO, PWR, USR1, USR2, WINCH, RTMIN, RTMIN+1 to RTMIN+30
aem.toml:3: app.web.event.b.signal: "USR1" is listed twice
aem.toml:4: app.web.event.c.signal: want a signal like "USR1", or a list of them`},
	{text: "[app.web.event]\na = { type = \"memory\", handler = \"h\" }\nb = { type = \"memory\", handler = \"h\", pid = 7, address = 4096 }\n[app.web.handler]\nh = { agent = \"callback\", call = \"log\" }", want: `aem.toml:2: app.web.event.a: pid is missing
aem.toml:2: app.web.event.a: address is missing
aem.toml:3: app.web.event.b.address: want an address as a string, like "0x7ffd1000"`},
	{text: "[app.web.event]\na = { type = \"memory\", handler = \"h\", pid = 7, address = \"0x1001\" }\nb = { type = \"memory\", handler = \"h\", pid = 7, address = \"0x1000\", length = 3 }\n[app.web.handler]\nh = { agent = \"callback\", call = \"log\" }", unseen: true, want: `aem.toml:2: app.web.event.a: address 0x1001: want a multiple of the length, and not 0
aem.toml:3: app.web.event.b: length 3: want 1, 2, 4 or 8`},
	{text: "[app.web.event]\na = { type = \"pressure\", handler = \"h\" }\nb = { type = \"pressure\", handler = \"h\", resource = \"disk\", some = \"1s\" }\nc = { type = \"pressure\", handler = \"h\", resource = \"cpu\", some = \"1s/2s\", all = \"1s/2s\" }\n[app.web.handler]\nh = { agent = \"callback\", call = \"log\" }", want: `aem.toml:2: app.web.event.a: resource is missing
aem.toml:3: app.web.event.b.resource: "disk" is not one of memory, cpu, io
aem.toml:3: app.web.event.b.some: want a time within another, like "150ms/2s"
aem.toml:4: app.web.event.c: pressure wants exactly one of some, all`},
	{text: "[app.web.event]\na = { type = \"pressure\", handler = \"h\", resource = \"cpu\", some = \"3s/2s\" }\nb = { type = \"pressure\", handler = \"h\", resource = \"cpu\", all = \"1s/2s\", clear = \"2s\" }\nc = { type = \"pressure\", handler = \"h\", resource = \"io\", all = \"1s/2s\", cgroup = \"x\" }\n[app.web.handler]\nh = { agent = \"callback\", call = \"log\" }", unseen: true, want: `aem.toml:2: app.web.event.a: want a window of 500ms to 10s, and a part of it
aem.toml:3: app.web.event.b: clear: want at least twice the window: a stall that goes on is told once in each
aem.toml:4: app.web.event.c: cgroup "x": want an absolute path, or own`},
	{text: "[app.web.event.e]\ntype = \"file\"\nhandler = \"h\"\npath = \"/x\"\nwhole = \"filesystem\"\nrecursive = false\nexisting = true\n[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"", unseen: true, want: `aem.toml:6: app.web.event.e: recursive is not for whole
aem.toml:7: app.web.event.e: existing is not for whole`},
	{text: "[app.web.event.e]\ntype = \"file\"\nhandler = \"h\"\npath = \"/x\"\nwhole = \"mount\"\n[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"", want: `aem.toml:5: app.web.event.e.whole: "mount" is not one of filesystem`},
	{text: "[app.web.event.e]\ntype = \"file\"\nhandler = \"h\"\non = [\"writen\"]\nmatch = [\"[\"]\n[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"", want: `aem.toml:1: app.web.event.e: path is missing
aem.toml:4: app.web.event.e.on: "writen" is not one of create, open, in, out, close, written, owner, mode, rename, remove (did you mean written?)
aem.toml:5: app.web.event.e.match: "[" is no name or pattern`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.read\"\nframe = \"lines\"\nmax_bytes = 0\nallow = [\"localhost\", \"10.0.0.0/33\"]\nrate = \"10\"\nmode = \"rw\"", want: `aem.toml:4: app.web.event.e: listen is missing
aem.toml:7: app.web.event.e.frame: "lines" is not one of chunk, line, length, datagram (did you mean line?)
aem.toml:8: app.web.event.e.max_bytes: want a size from 1 to 1048576GiB
aem.toml:9: app.web.event.e.allow: "localhost" is no address or network, like 127.0.0.1 or 10.0.0.0/8
aem.toml:9: app.web.event.e.allow: "10.0.0.0/33" is no address or network, like 127.0.0.1 or 10.0.0.0/8
aem.toml:10: app.web.event.e.rate: want a rate like "100/s" or "10/5m"
aem.toml:11: app.web.event.e.mode: want an octal mode as a string, like "0600"`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.read\"\nlisten = \"tcp://127.0.0.1:1\"\nmode = \"0600\"", unseen: true, want: `aem.toml:4: app.web.event.e: mode, owner and group are for unix sockets with a path`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.read\"\nlisten = \"unix:@a\"\nallow = [\"::1\"]", unseen: true, want: `aem.toml:4: app.web.event.e: allow is for tcp and udp: use mode, owner and group`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.read\"\nlisten = \"udp://127.0.0.1:1\"\nframe = \"line\"", unseen: true, want: `aem.toml:4: app.web.event.e: udp://127.0.0.1:1 keeps the bounds of messages: want frame = "datagram"`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.accept\"\nlisten = [\"udp://127.0.0.1:1\", \"fd:x\"]", unseen: true, want: `aem.toml:7: app.web.event.e.listen: listen "udp://127.0.0.1:1": want tcp, unix, unixpacket, fd
aem.toml:7: app.web.event.e.listen: listen "fd:x": want tcp://IP:PORT, unix:///PATH or unix:@NAME, or the same with udp, unixpacket, unixgram`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.close\"", want: `aem.toml:4: app.web.event.e: of is missing: the socket.read event whose connections are meant`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.close\"\nof = \"e\"", unseen: true, want: `aem.toml:7: app.web.event.e: "e" is no socket.read event of this app`},
	{text: "[app.web.handler.h]\nagent = \"callback\"\ncall = \"log\"\n[app.web.event.e]\nhandler = \"h\"\ntype = \"socket.state\"\nports = [0]\nstates = [\"OPEN\"]", want: `aem.toml:7: app.web.event.e.ports: want a list of ports from 1 to 65535
aem.toml:8: app.web.event.e.states: "OPEN" is not one of ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING, NEW_SYN_RECV`},
	{text: "[app.web.event.e]\ntype = \"supervisor.start\"\nhandlers = []", want: `aem.toml:2: app.web.event.e: type "supervisor.start" is not supported yet
aem.toml:3: app.web.event.e: handlers is empty`},
	{text: "[app.web.event.e]\ntype = \"tmier\"\nevry = \"1s\"\nlisten = \"tcp:\"\nhandlers = [\"a\"]", want: `aem.toml:2: app.web.event.e: unknown type "tmier" (did you mean timer?)
aem.toml:3: app.web.event.e: unknown key "evry" (did you mean every?)
aem.toml:4: app.web.event.e.listen: listen "tcp:": want tcp://IP:PORT, like tcp://127.0.0.1:7007 or tcp://[::]:80
aem.toml:5: app.web.event.e: unknown handler "a"`},
	{text: hello + "after = \"1s\"\npriority = 32", want: `aem.toml:4: app.web.event.hello: timer wants exactly one of after, every, at, cron
aem.toml:9: app.web.event.hello.priority: want a whole number from 0 to 31`},
	{text: strings.Replace(hello, "every", "first", 1), want: `aem.toml:4: app.web.event.hello: timer wants exactly one of after, every, at, cron
aem.toml:7: app.web.event.hello: first goes with every`},
	{text: strings.Replace(hello, "every = \"1s\"", "cron = \"61 * * * *\"", 1), unseen: true, want: `aem.toml:7: app.web.event.hello.cron: cron "61 * * * *": minute "61": "61" is not from 0 to 59`},
	{text: strings.Replace(hello, "every = \"1s\"", "cron = \"0 0 30 2 *\"\nclock = \"boottime\"", 1), unseen: true, want: `aem.toml:7: app.web.event.hello.cron: cron "0 0 30 2 *": there is no such day
aem.toml:8: app.web.event.hello: clock goes with after and every: at and cron go by the time of day`},
	{text: strings.Replace(hello, "every = \"1s\"", "at = \"6 o'clock\"\ndst = \"once\"", 1), unseen: true, want: `aem.toml:7: app.web.event.hello.at: at "6 o'clock": want a time like "2026-12-24T18:00:00", with Z or an offset or in the zone, or one of day like "18:00"
aem.toml:8: app.web.event.hello: dst goes with cron`},
	{text: strings.Replace(hello, "every = \"1s\"", "at = 7", 1), want: `aem.toml:7: app.web.event.hello.at: want a time like "2026-12-24T18:00:00" or "18:00"`},
	{text: hello + "missed = \"one\"\nzone = \"UTC\"\ndst = \"both\"", want: `aem.toml:8: app.web.event.hello: missed goes with at and cron
aem.toml:9: app.web.event.hello: zone goes with at and cron
aem.toml:10: app.web.event.hello.dst: "both" is not one of once, skip, twice
aem.toml:10: app.web.event.hello: dst goes with cron`},
	{text: hello + "first = \"soon\"\narrivals = \"merge\"\nfull = \"drop\"", want: `aem.toml:8: app.web.event.hello.first: want a duration like "2s", or "now"
aem.toml:10: app.web.event.hello.full: "drop" is not one of hold, shed`},
	{text: hello + "filter = \"coutn > 1 && scheduled < time\"\nexpire = \"1us\"", unseen: true, want: `aem.toml:8: app.web.event.hello.filter: unknown name coutn (1:1) (did you mean count?)
aem.toml:9: app.web.event.hello.expire: want a duration from 1ms to 36500d`},
	{text: hello + "filter = \"overrun > 'x'\"", unseen: true, want: `aem.toml:8: app.web.event.hello.filter: invalid operation: > (mismatched types int and string) (1:9)`},
	{text: "[app.web.event.e]\ntype = \"socket.accept\"\nlisten = \"unix:@a\"\narrivals = \"merge\"\nhandler = { agent = \"callback\", call = \"log\" }", unseen: true, want: `aem.toml:4: app.web.event.e: events of type socket.accept cannot be merged: each is for itself`},
	{text: strings.Replace(hello, "1s", "1us", 1), unseen: true, want: `aem.toml:7: app.web.event.hello.every: want a duration from 1ms to 36500d`},
	{text: strings.Replace(hello, `handler = "hello"`, `handlers = ["hello", "hello", "helo"]`, 1), unseen: true, want: `aem.toml:6: app.web.event.hello: handler "hello" is listed twice
aem.toml:6: app.web.event.hello: unknown handler "helo" (did you mean hello?)`},
	{text: hello + "handlers = [\"hello\"]", want: `aem.toml:4: app.web.event.hello: want exactly one of handler and handlers`},
	{text: strings.Replace(hello, "stdin", "socket", 1), unseen: true, want: `aem.toml:5: app.web.event.hello: timer has no socket (handler "hello" has handover socket)`},
	{text: strings.Replace(hello, "./hello\"", "./hello\", \"-{peer}\"", 1), unseen: true, want: `aem.toml:5: app.web.event.hello: timer has no fact {peer}, which handler "hello" names`},
	{text: strings.Replace(hello, "timer", "socket.accept", 1), want: `aem.toml:4: app.web.event.hello: listen is missing
aem.toml:5: app.web.event.hello: socket.accept goes with handover direct, socket or listen-fds, a callback or a thread: handler "hello" has stdin
aem.toml:7: app.web.event.hello: every is no key of socket.accept (of timer)`},
	{text: "[app.web.event.e]\ntype = \"socket.accept\"\nlisten = [\"unix:@a\", \"unix:@a\"]\nhandlers = [\"a\", \"b\"]\n[app.web.handler.a]\nagent = \"callback\"\ncall = \"log\"\n[app.web.handler.b]\nagent = \"thread\"\ncall = \"greet\"",
		want: `aem.toml:3: app.web.event.e.listen: "unix:@a" is listed twice
aem.toml:4: app.web.event.e: socket.accept takes one handler: a connection has one owner`},
	{text: "[app.web.event.e]\ntype = \"topic\"\ntopic = \"Web/x\"\nhandler = { agent = \"callback\", call = \"log\" }", unseen: true, want: `aem.toml:3: app.web.event.e: topic "Web/x": want NAME or APP/NAME, of small letters, digits, _ and -`},
	{text: strings.Replace(hello, `"hello"`, `{ exec = ["x"], handover = "none", lief = "cold" }`, 1), want: `aem.toml:6: app.web.event.hello.handler: the inline handler has the event's name, and handler "hello" exists already
aem.toml:6: app.web.event.hello.handler: unknown key "lief" (did you mean life?)`},
	{text: "[app.web.handler.h]\nexec = [\"h\"]\nhandover = \"none\"\nenv = { AEM_ID = \"7\" }\npass_env = [\"AEM_ABI\"]", unseen: true, want: `aem.toml:4: app.web.handler.h.env: AEM_ID: "AEM_ID" is one of the variables that the supervisor sets
aem.toml:5: app.web.handler.h.pass_env: "AEM_ABI" is one of the variables that the supervisor sets`},
}

func TestMistakes(t *testing.T) {
	for _, c := range mistakes {
		t.Run(strings.SplitN(c.want, "\n", 2)[0], func(t *testing.T) {
			checkLines(t, errorLines(t, c.text), c.want)
		})
	}
}

func TestWarnings(t *testing.T) {
	f := parse(t, hello+`
[app.web.handler.spare]
exec = ["./spare", "{id}", "-n={id}", "--", "{id}"]
handover = "none"
`)
	var got []string
	for _, w := range f.Warnings {
		got = append(got, w.Error())
	}
	checkLines(t, got, `
aem.toml:9: app.web.handler.spare: no event uses this handler
aem.toml:10: app.web.handler.spare.exec: {id} could become an option: put "--" before it
`)
}
