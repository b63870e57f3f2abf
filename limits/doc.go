// Package limits holds an app to its limits: Limits as a plain value, and the cgroups that enforce what the kernel can.
//
// A Tree is the supervisor's place in the cgroup file systems, a Group is one app's part of it and a Leaf is where the
// processes of one agent slot live:
//
//	own cgroup / NAME / APP / SLOT        limits at APP, processes only in SLOT
//
// The same three levels are made in each hierarchy that is needed. On v2 that is the one tree: a process is born in its
// leaf (CLONE_INTO_CGROUP). On v1 and hybrid hosts the child joins by writing "0" to each `tasks` file before it execs;
// the cpu hierarchy has no leaves, since nothing is counted per slot there. Where the unified tree exists, even without
// controllers, the leaf that is killed and watched for emptiness is made there (cgroup.kill).
//
// A limit that cannot be enforced is refused with the reason, unless Limits.OnMissing names it: it is never weakened in
// silence. memory.oom.group is never set, because a child that shares our memory until its exec would take us along.
//
// Files are written through github.com/containerd/cgroups/v3, which speaks OCI resources in both versions; it adds
// 5.2 MiB to the binary (protobuf, ebpf and dbus come with it) and 0.5 ms to its start. What the library has not is
// read and written here: files it does not know, counters of events, kill by pidfd, delegation.
//
// Three tables say what each version of cgroups can do: enforced.go names the limits, v2.go and v1.go how each is enforced,
// figures.go where what was counted stands.
//
// Limits that the supervisor counts itself are Gauges of their owners. The package starts no process, and does not decide
// what happens to an app that reached a limit.
package limits
