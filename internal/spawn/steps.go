package spawn

import (
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// order is everything a new process does before it runs its program, first to last. A row writes as many steps as its
// process needs, often none. Each stands behind what it could break and before what could forbid it.
var order = [...]func(*list, *Plan, *Vars){
	closeOthers, // first: until then the descriptors are the supervisor's own
	newSession,
	schedule,
	limitResources,
	placeDescriptors,
	limitDescriptors, // dup3 refuses a target above the limit
	joinCgroups,      // from here on the app's own quota holds
	chooseCPUs,
	boost, // which the group may forbid, or be forbidden for
	writeListenPID,
	enterCell,      // what comes before may want rights that a user namespace takes
	dropBounding,   // needs CAP_SETPCAP, gone with the uid
	changeIdentity, // groups first, the uid takes the right to
	dropCapabilities,
	enterDirectory, // with the rights the program will have
	forbidPrivileges,
	restrictPaths, // which wants no_new_privs
	resetSignals,
	installFilter, // forbids what it forbids from here on, so last
	execute,
}

// step is one system call. The assembly reads nr and args.
type step struct {
	nr   uintptr
	args [6]uintptr
	name string
}

// writePID is the one step that is no system call: it writes getpid() in decimal to args[0].
const writePID = 1 << 20

// list is the memory of one spawn. All of it, and the plan, stays alive and in place until the clone returns: the heap
// is not moved by Go's collector, and what the steps name is reachable from here or from the plan.
type list struct {
	run     run
	steps   []step
	slots   int // first number of the borrowed set
	given   given
	cell    *Cell // nil: none
	unbound bool  // the lane's thread has no bounding set to give on

	furniture *furniture // of the cell that was made last

	schedules  []sys.SchedAttr
	text       []byte // arguments and environment
	argv, envp []uintptr
	listenPID  uintptr // where the digits go
	shared     byte    // what Settle writes to
}

func (l *list) write(p *Plan, v *Vars) {
	l.steps = l.steps[:0]
	for _, row := range order {
		row(l, p, v)
	}
}

// hand says which descriptors the steps will find in the slots.
func (l *list) hand(p *Plan, v *Vars) {
	for i := range l.given {
		l.given[i] = -1
	}
	copy(l.given[:], v.FDs)
	copy(l.given[joinSlot:], v.Join)
	if p.ruleset > 0 {
		l.given[rulesetSlot] = p.ruleset
	}
	if l.cell != nil && l.cell.enter != 0 {
		l.given[cellSlot], l.given[rootSlot] = l.cell.init.PIDFD, l.cell.root
	}
}

func (l *list) add(name string, nr uintptr, args ...uintptr) {
	s := step{nr: nr, name: name}
	copy(s.args[:], args)
	l.steps = append(l.steps, s)
}

// address is a pointer as a system call takes it. What it points to must be kept alive elsewhere, and on the heap: a stack
// may move before the step is taken.
func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// closeOthers gives the child a table of its own with only the descriptors below the end of its set, so that the cost
// does not grow with what we have open, and then closes what is below the set: ours, and the sets of other lanes.
func closeOthers(l *list, _ *Plan, _ *Vars) {
	const last = 1<<32 - 1
	l.add("close_range", sys.SYS_CLOSE_RANGE, uintptr(l.slots+setSize), last, sys.CLOSE_RANGE_UNSHARE)
	l.add("close_range", sys.SYS_CLOSE_RANGE, 0, uintptr(l.slots-1), 0)
}

func newSession(l *list, _ *Plan, _ *Vars) { l.add("setsid", sys.SYS_SETSID) }

func limitResources(l *list, p *Plan, _ *Vars) {
	for i := range p.rlimits {
		r := &p.rlimits[i]
		l.add("prlimit", sys.SYS_PRLIMIT64, 0, uintptr(r.resource), address(&r.value), 0)
	}
}

// placeDescriptors copies from the set, which starts above all targets and closes itself on exec.
func placeDescriptors(l *list, _ *Plan, v *Vars) {
	for i, fd := range v.FDs {
		if fd >= 0 {
			l.add("dup3", sys.SYS_DUP3, uintptr(l.slots+i), uintptr(i), 0)
		}
	}
}

func limitDescriptors(l *list, p *Plan, _ *Vars) {
	if p.nofile != nil {
		l.add("prlimit", sys.SYS_PRLIMIT64, 0, sys.RLIMIT_NOFILE, address(p.nofile), 0)
	}
}

// joinCgroups writes "0", the writer itself, into each `tasks`: 0.7 ms at p99.9, where `cgroup.procs` takes 15 ms
// because it stops all threads of all processes from forking (kernel/cgroup/cgroup.c, cgroup_threadgroup_rwsem).
func joinCgroups(l *list, p *Plan, v *Vars) {
	for i := range v.Join {
		l.add("cgroup join", sys.SYS_WRITE, uintptr(l.slots+joinSlot+i), address(&p.myself[0]), 1)
	}
}

func writeListenPID(l *list, _ *Plan, v *Vars) {
	if v.ListenPID {
		l.add("LISTEN_PID", writePID, l.listenPID)
	}
}

// changeIdentity also clears our own dumpable flag, as the memory is shared (kernel/cred.c, commit_creds): wanted.
func changeIdentity(l *list, p *Plan, _ *Vars) {
	if p.setGroups {
		l.add("setgroups", sys.SYS_SETGROUPS, uintptr(len(p.groups)), address(unsafe.SliceData(p.groups)))
	}
	if p.gid != nil {
		gid := uintptr(*p.gid)
		l.add("setresgid", sys.SYS_SETRESGID, gid, gid, gid)
	}
	if p.keep {
		l.add("keep capabilities", sys.SYS_PRCTL, sys.PR_SET_KEEPCAPS, 1, 0, 0, 0)
	}
	if p.uid != nil {
		uid := uintptr(*p.uid)
		l.add("setresuid", sys.SYS_SETRESUID, uid, uid, uid)
	}
}

func enterDirectory(l *list, p *Plan, _ *Vars) {
	if p.dir != nil {
		l.add("chdir", sys.SYS_CHDIR, address(&p.dir[0]))
	}
	if p.umask >= 0 {
		l.add("umask", sys.SYS_UMASK, uintptr(p.umask))
	}
}

func forbidPrivileges(l *list, p *Plan, _ *Vars) {
	if p.noPrivs {
		l.add("no_new_privs", sys.SYS_PRCTL, sys.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
}

func restrictPaths(l *list, p *Plan, _ *Vars) {
	if p.ruleset > 0 {
		l.add("landlock", sys.SYS_LANDLOCK_RESTRICT_SELF, uintptr(l.slots+rulesetSlot), 0)
	}
}

// resetSignals is for what execve keeps: ignored signals, which CLONE_CLEAR_SIGHAND keeps too, and the mask.
func resetSignals(l *list, p *Plan, _ *Vars) {
	for s := range members(p.ignored, 1) {
		l.add("rt_sigaction", sys.SYS_RT_SIGACTION, uintptr(s), address(&p.noAction), 0, sys.SigsetSize)
	}
	l.add("rt_sigprocmask", sys.SYS_RT_SIGPROCMASK, sys.SIG_SETMASK, address(&p.noSignal), 0, sys.SigsetSize)
}

func installFilter(l *list, p *Plan, _ *Vars) {
	if p.filter != nil {
		l.add("seccomp", sys.SYS_SECCOMP, sys.SECCOMP_SET_MODE_FILTER, uintptr(p.flags), address(p.filter))
	}
}

func execute(l *list, p *Plan, _ *Vars) {
	l.add("execve", sys.SYS_EXECVE, address(&p.path[0]), address(&l.argv[0]), address(&l.envp[0]))
}
