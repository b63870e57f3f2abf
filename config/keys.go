package config

import (
	"slices"

	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/supervisor"
)

// key is one row of the table: everything known about a key of the file. The functions that return rows bind them to
// where their values go.
type key struct {
	name string
	kind kind
	def  any    // the value when the file says nothing; nil: none
	doc  string // one sentence for people
}

// table is the kind of a table with rows of its own.
func table(rows ...key) kind { return kind{name: "table", rows: rows} }

// named is the kind of a table of tables with names of the user's choice, each like the definition.
func named(definition string, p *map[string]any) kind {
	k := free(p)
	k.name = "table of " + definition + "s"
	k.schema = object{"type": "object", "propertyNames": object{"pattern": namePattern}, "additionalProperties": reference(definition)}
	return k
}

// namePattern is what aem.CheckName accepts, for editors.
const namePattern = "^[a-z][a-z0-9_-]{0,62}$"

// reference is the schema of a value like the definition.
func reference(definition string) object { return object{"$ref": "#/$defs/" + definition} }

func fileKeys(o *supervisor.Options, apps *map[string]any) []key {
	return []key{
		{"supervisor", table(supervisorKeys(o)...), nil, "The supervisor itself."},
		{"app", named("app", apps), nil, "The apps, by name."},
	}
}

func supervisorKeys(o *supervisor.Options) []key {
	return []key{
		{"runtime_dir", text(&o.RuntimeDir), nil, "Holds `control.sock`. Default: `/run/aem` for root, else `$XDG_RUNTIME_DIR/aem` or `/tmp/aem-UID`."},
		{"state_dir", text(&o.StateDir), nil, "Holds what must outlive a run. Default: `/var/lib/aem` for root, else `$XDG_STATE_HOME/aem` or `~/.local/state/aem`."},
		{"grace", duration(&o.Grace, 0), "10s", "At a stop, the time that running handlers have to finish."},
		{"log", table(
			key{"level", level(&o.Log.Level), "info", "The least urgent records that are written."},
			key{"format", choice(&o.Log.Format, []string{"text", "json", "journal"}), "text", "How records are written."},
		), nil, "Where and how the supervisor writes what happens."},
		{"control", table(
			key{"mode", octal(&o.Control.Mode), "0600", "Permissions of the control socket."},
			key{"group", text(&o.Control.Group), "", "Group of the control socket; empty leaves it."},
		), nil, "Who may reach the control socket."},
		{"dead_letters", count(&o.DeadLetters, 0, 1_000_000), 1000, "How many failed events are kept, the newest."},
		{"include", later, nil, "More files to read."},
	}
}

func appKeys(a *app) []key {
	return append(accountKeys(a),
		key{"limits", table(limitKeys(a)...), nil, "What the app may use."},
		key{"policy", table(slices.Concat(policyKeys(&a.policy), confinementKeys(&a.confinement))...), nil, "What its processes may do."},
		key{"handler", named("handler", &a.handlerTables), nil, "The handlers, by name."},
		key{"event", named("event", &a.eventTables), nil, "The events, by name."},
	)
}

// accountKeys are the app's own keys, beside its tables.
func accountKeys(a *app) []key {
	return []key{
		{"user", text(&a.User), nil, "Who the handlers run as. Default: who runs the supervisor."},
		{"group", text(&a.Group), nil, "Their group. Default: the user's."},
		{"groups", texts(&a.Groups, anything), nil, "Their further groups. Default: the user's."},
		{"start", boolean(&a.Start), true, "Whether the app's events are detected from the start."},
		{"boost", levels(&a.Boost), nil, "What its handlers' threads are raised to, by priority: see below. Default: they are not."},
		{"on_error", text(&a.onError), nil, "The handler that gets the app's error events, of type `supervisor.error`: its event is called `on_error`."},
		{"on_error_default", choice(&a.OnError, supervisor.Decisions), nil, "What is done where it does not reply `retry`, `skip` or `stop`. Default: `skip`; `retry` where a handler's allocator has no room."},
	}
}

func limitKeys(a *app) []key {
	l := &a.Limits
	counted := []key{
		{"jobs", count(&l.Jobs, 1, 10_000_000), 1000, "Jobs registered at once: one for each event and handler."},
		{"jobs_of", portions(&l.JobsOf), nil, "Of these, as `{ \"socket.*\" = 10, process = 5 }`: jobs of event types, or on agents."},
		{"activations", count(&l.Activations, 1, 10_000_000), 256, "Activations that are not complete."},
		{"activations_of", portions(&l.ActivationsOf), nil, "Of these, in the same form."},
		{"processes", count(&l.Processes, 1, 1_000_000), nil, "Processes of its handlers alive at once. Default: what `size` and `concurrency` of each allow."},
		{"queue_bytes", size(&l.QueueBytes, 1), "64MiB", "Data of events that wait."},
		{"types", texts(&l.Types, typePattern), nil, "Event types the app may register, as `timer` or `socket.*`. Default: all."},
		{"agents", choices(&l.Agents, plain(agents)...), nil, "Agents its handlers may run on. Default: all."},
		{"priority_max", count(&l.PriorityMax, 0, 31), 15, "The highest priority of its events."},
	}
	return slices.Concat(counted, cgroupKeys(a), []key{
		{"resources", text(&a.resources), nil, "A JSON file in the form of LinuxResources of the OCI runtime specification, instead of `memory` to `unified`."},
		{"on_missing", choices(&l.OnMissing, limits.Names[:]...).or("refuse", func() { l.OnMissing = nil }),
			"refuse", "Limits the app goes on without on a host that lacks them."},
	})
}

// cgroupKeys are those of the limits that a cgroup enforces.
func cgroupKeys(a *app) []key {
	l := &a.Limits
	return []key{
		{"memory", size(&l.Memory, 4096), nil, "Memory of all its processes."},
		{"swap", size(&l.Swap, 0), nil, "Swap beside `memory`. Default: none."},
		{"memory_high", size(&l.MemoryHigh, 4096), nil, "Memory from which on its processes are slowed down. Not on cgroup v1."},
		{"memory_low", size(&l.MemoryLow, 4096), nil, "Memory that is taken from others first. On cgroup v1: when the whole machine is short of it."},
		{"pids", count(&l.PIDs, 1, 1<<22), nil, "Processes and threads; a Go program has about five."},
		{"cpu", number(&l.CPU, 0.001, 10_000), nil, "Cores, as 0.5."},
		{"cpu_weight", count(&l.CPUWeight, 1, 10_000), nil, "Share of busy cores; who has none has 100."},
		{"cpuset", cores(&l.CPUSet), nil, "Cores it may run on."},
		{"io", disks(&l.IO), nil, "Limits of disks, as `{ \"/dev/vda\" = { rbps = \"10MiB\", wiops = 100 } }`: bytes (`rbps` `wbps`) and operations (`riops` `wiops`) a second, of the disk with this node or with this path in its file system. `weight`, 1 to 1000, is the share of busy disks; who has none has 100."},
		{"hugetlb", hugePages(&l.HugeTLB), nil, "Huge pages by their size, as `{ \"2MB\" = \"64MiB\" }`."},
		{"unified", rawFiles(&l.Unified), nil, "Texts for further files of cgroup v2, as `{ \"memory.zswap.max\" = \"0\" }`."},
	}
}
