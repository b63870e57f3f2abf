package config

import (
	"slices"

	"github.com/aem-exec/aem-exec/executor"
)

// agents are the kinds of agent.
var agents = []executor.AgentKind{executor.Process, executor.Callback, executor.Thread}

func handlerKeys(s *executor.Spec) []key {
	return slices.Concat(commonKeys(s), schedulingKeys(s), threadKeys(s), functionKeys(s), processKeys(s))
}

// commonKeys are for handlers on every agent.
func commonKeys(s *executor.Spec) []key {
	return []key{
		{"agent", choice(&s.Agent, agents), "process", "The context that runs the handler."},
		{"concurrency", count(&s.Concurrency, 1, 100_000), 32, "Activations running at once; 1: one by one."},
		{"timeout", duration(&s.Timeout, 1), nil, "How long one activation may run. Default: for ever."},
		{"retries", count(&s.Retries, 0, 10_000), 3, "Further attempts after a failed one. None once a connection was handed over."},
		{"backoff", table(
			key{"first", duration(&s.Backoff.First, 1), "1s", "The first wait."},
			key{"factor", number(&s.Backoff.Factor, 1, 100), 2.0, "How much longer each wait is than the one before."},
			key{"max", duration(&s.Backoff.Max, 1), "5m", "The longest wait."},
			key{"jitter", number(&s.Backoff.Jitter, 0, 1), 0.1, "The part of a wait that is random."},
		), nil, "Waits between attempts."},
	}
}

// schedulingKeys are for handlers that the kernel schedules by themselves: threads and programs.
func schedulingKeys(s *executor.Spec) []key {
	return []key{
		{"nice", optional(&s.Nice, -20, 19), nil, "The nice value, man 7 sched: less is more of a busy CPU. Default: the supervisor's."},
		{"affinity", cpus(&s.CPUs), nil, "The CPUs it may run on, as `0-2,5`. Default: the supervisor's."},
	}
}

// threadKeys are for handlers on threads.
func threadKeys(s *executor.Spec) []key {
	return []key{
		{"realtime", count(&s.Realtime, 1, 98), nil, "Its priority in the real-time class SCHED_RR, before which all other work waits, but for the loop, which then runs one above. Default: not in that class."},
	}
}

// functionKeys are for handlers that are Go functions: callbacks and threads.
func functionKeys(s *executor.Spec) []key {
	return []key{
		{"call", text(&s.Call), nil, "A built-in (`log`, `emit`) or, embedded, a registered Go function."},
		{"args", free(&s.Args), nil, "Its arguments."},
	}
}

// processKeys are for handlers that are programs.
func processKeys(s *executor.Spec) []key {
	lives := []executor.Life{executor.Cold, executor.Capsule, executor.Resident, executor.Zygote}
	handovers := []executor.Handover{executor.Direct, executor.Socket, executor.ListenFDs, executor.Stdin, executor.Data, executor.None}
	leftovers := []executor.Leftover{executor.KillLeftover, executor.LeaveLeftover}
	return []key{
		{"exec", texts(&s.Exec, anything), nil, "Program and arguments, facts as `{name}`. With a slash, the program is relative to this file; without, it is looked up in the handler's PATH."},
		{"life", choice(&s.Life, lives), "cold", "Made for each event, made early and used once, made once and used for ever, or made once and copied for each event."},
		{"size", count(&s.Size, 1, 10_000), nil, "Capsules kept ready (default 4), resident processes or zygotes (default 1)."},
		{"handover", choice(&s.Handover, handovers), nil, "How the event reaches the program. Required."},
		{"dir", text(&s.Dir), nil, "Working directory. Default: this file's."},
		{"env", variables(&s.Env), nil, "Environment variables."},
		{"pass_env", texts(&s.PassEnv, variable), nil, "Environment variables taken over from the supervisor."},
		{"umask", octal(&s.Umask), "0022", "Permissions that new files do not get."},
		{"rlimits", table(rlimitKeys(&s.Rlimits)...), nil, "Resource limits of each process, man 2 getrlimit."},
		{"ready_timeout", duration(&s.ReadyTimeout, 1), "5s", "How long a program may take to say that it is ready."},
		{"kill_after", duration(&s.KillAfter, 0), "5s", "Time between SIGTERM and SIGKILL."},
		{"leftover", choice(&s.Leftover, leftovers), "kill", "What happens to children that outlive the main process."},
		{"success", integers(&s.Success, "exit statuses", 0, 255).or("any", func() { s.AnySuccess = true }), []any{int64(0)}, "Exit statuses that mean done."},
		{"restart", table(
			key{"first", duration(&s.Restart.First, 1), "500ms", "The first wait."},
			key{"factor", number(&s.Restart.Factor, 1, 100), 2.0, "How much longer each wait is than the one before."},
			key{"max", duration(&s.Restart.Max, 1), "30s", "The longest wait."},
			key{"reset", duration(&s.Restart.Reset, 1), "1m", "A process that lasts so long starts the waits anew."},
		), nil, "Waits before a process is made again. It never gives up."},
		{"arena", table(
			key{"size", size(&s.ArenaSize, 4096), "1MiB", "Memory that events are copied into."},
			key{"max", size(&s.ArenaMax, 4096), "64MiB", "What it may grow to."},
			key{"alloc", choice(&s.Alloc, []executor.Alloc{executor.SupervisorAlloc, executor.AppAlloc}), "supervisor", "Who says where in it an event lands: `app` is the handler, by an allocator of its own."},
			key{"copy", choice(&s.Copy, []executor.Copy{executor.DirectCopy, executor.SharedCopy}), "direct", "How it gets there: into the handler's own memory, or into memory that both sides map, for hosts that refuse the first."},
		), nil, "The handler's memory for events, with handover `direct`."},
		{"control", boolean(&s.Control), false, "Each process is given a connection to the supervisor, with handover `direct`: over it the handler may attach itself as an agent, and act on its own app, whoever may use the control socket."},
		{"ioprio", ioPriority(&s.IOPriority), nil, "Its priority at block devices, man 2 ioprio_set. Default: follows `nice`."},
		{"oom_score_adj", optional(&s.OOMScoreAdj, -1000, 1000), nil, "How readily the kernel ends it for memory, man 5 proc_pid_oom_score_adj. Default: what the supervisor was started with."},
	}
}

// resources are the names of rlimits, each at its number of include/uapi/asm-generic/resource.h; 10, locks, has no
// meaning since Linux 2.4.25.
var resources = [...]string{"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "",
	"sigpending", "msgqueue", "nice", "rtprio", "rttime"}

// ResourceName is the key of a resource limit, as nofile.
func ResourceName(resource int) string { return resources[resource] }

func rlimitKeys(p *[]executor.Rlimit) []key {
	var rows []key
	for number, name := range resources {
		if name != "" {
			rows = append(rows, key{name, rlimit(p, number), nil, ""})
		}
	}
	return rows
}
