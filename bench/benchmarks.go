package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// benchmark is one measurement; it makes the row of its name, and often more that belong to it.
type benchmark struct {
	group, name string
	about       string
	run         func(*bench) ([]row, error)
}

// benchmarks are all there are, in the order they run.
var benchmarks = []benchmark{
	{"spawn", "cold.spawn", "spawn to main(): three rlimits, an identity, no_new_privs, a filter, a leaf; floor: a C vfork with the same steps", benchSpawn},
	{"spawn", "spawn.fds", "the same with 15,000 descriptors open; floor: with 20", benchSpawnFDs},
	{"spawn", "start.libc", "a static C program's own start, to main; floor: a program without a C library", benchStart},
	{"dispatch", "resident.dispatch", "detected to the C handler's first line, 1 KiB; floor: an eventfd between two C processes", benchResident},
	{"dispatch", "resident.pinned", "the same, everything on one CPU", benchResidentPinned},
	{"dispatch", "resident.apart", "the same, waker and woken on a CPU each", benchResidentApart},
	{"dispatch", "resident.batch", "1 KiB events flat out, up to 64 in flight; floor: one in flight", benchBatch},
	{"dispatch", "capsule.dispatch.c", "detected to the first line of a C capsule; floor: cold", benchAhead("capsule", "c")},
	{"dispatch", "capsule.dispatch.go", "the same in Go", benchAhead("capsule", "go")},
	{"dispatch", "capsule.dispatch.python", "the same in Python", benchAhead("capsule", "python")},
	{"dispatch", "callback.dispatch", "detected to the first line of a callback", benchCallback},
	{"dispatch", "dispatch.allocs", "allocations per event", benchAllocs},
	{"zygote", "zygote.dispatch.c", "detected to the first line of a C program, copied for the event; floor: cold", benchAhead("zygote", "c")},
	{"zygote", "zygote.dispatch.python", "the same in Python", benchAhead("zygote", "python")},
	{"thread", "thread.dispatch", "detected to the first line of a Go function on a thread of its own; floor: an eventfd between two C processes", benchThread},
	{"callback", "callback.echo", "64 bytes echoed at 64 kept connections by a callback; floors: C on epoll, libuv, libevent, Go's net", benchEcho},
	{"timer", "timer.add", "a million registered timers started, stopped, and falling due, in processor time; floor: time.AfterFunc", benchTimers},
	{"timer", "timer.late", "how long after its time a timer fires, of 50,000 a second; floor: time.AfterFunc", benchLate},
	{"timer", "timer.gc", "garbage collections with a million timers registered; floor: with none", benchTimerGC},
	{"events", "events.bytes", "memory of each of ten million idle timers, everything together", benchEventBytes},
	{"events", "events.activate", "detected to the end of an empty callback, with a million registered; floor: a thousand", benchActivate},
	{"control", "control.million", "a program registers, starts and removes a million timers, in bulk", benchMillion},
	{"control", "control.rate", "operations of one client on one job each, which does not wait for replies", benchControlRate},
	{"connections", "connections.idle", "the response time of 100 connections with 15,000 idle ones open; floor: with none", benchIdle},
	{"datagrams", "datagrams.rate", "1 KiB datagrams taken by a resident C handler while it is flooded; floor: a C loop around recvmmsg", benchDatagrams},
	{"sockstate", "sockstate.wrong", "changes of TCP's states that were not told, or that never were, against the clients' own record", benchStates},
	{"priority", "priority.overload", "a timer of the highest priority to its handler's first line, on the loop and on a thread raised to SCHED_RR, beside low ones that offer twice what the machine can do; floor: without them", benchOverload},
	{"order", "order.violations", "a million activations of 8 apps and 8 levels: those that began out of order", benchOrder},
	{"boost", "boost.syscalls", "system calls for each event that raise a C resident's thread, all of one level", benchBoost},
	{"copy", "copy.16MiB", "64 B to 16 MiB into another process; floor: memcpy", benchCopy},
	{"copy", "copy.batch", "64 events of 1 KiB with one copy, without a supervisor; floor: a copy for each", benchCopyBatch},
	{"files", "files.missed", "files of 100,000 made in new directories that nobody is told of; beside it inotifywait", benchFiles},
	{"policy", "policy.compile", "the default profile's filter made, installed and passed; floor: libseccomp's, and no filter", benchPolicy},
	{"policy", "policy.spawn", "processes made under each part of a policy alone; floor: under none", benchConfined},
	{"limits", "limits.create", "1,000 apps with limits, cgroups and policies: until the supervisor is ready", benchLimits},
	{"peers", "peers.cold", "connections a second through accept, handler, one line back, close; floor: tcpserver", benchPeers},
}

func list(out io.Writer) {
	group := ""
	for _, m := range benchmarks {
		if m.group != group {
			group = m.group
			fmt.Fprintf(out, "%s\n", group)
		}
		fmt.Fprintf(out, "  %-26s %s\n", m.name, m.about)
	}
}

// choose finds the benchmarks of groups and names.
func choose(args []string) ([]benchmark, error) {
	var chosen []benchmark
	for _, arg := range args {
		n := len(chosen)
		for _, m := range benchmarks {
			if m.group == arg || m.name == arg {
				chosen = append(chosen, m)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("no group or benchmark %q: want %s, or a name that `go run ./bench` lists", arg, strings.Join(groups(), ", "))
		}
	}
	return chosen, nil
}

func groups() []string {
	var all []string
	for _, m := range benchmarks {
		all = append(all, m.group)
	}
	return slices.Compact(all)
}
