package spawn

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// CellSpec is what the processes of a lane have for themselves: a plain value.
type CellSpec struct {
	Name       string   // of the init, for people
	Namespaces uint64   // CLONE_NEW*
	UIDs, GIDs []uint32 // that a user namespace knows, each as itself
	ReadOnly   bool     // nothing can be written in the mount namespace
	Writable   []string // but at and beneath these
}

// Cell is namespaces, and the init that holds them: the first process in them, which does nothing but sleep. It ends
// with us, or when the cell is closed, and the kernel then kills what is left in its pid namespace.
//
// Processes of the lane are born into the cell as our own children, and not as the init's. So we reap them, their
// signals and exit statuses are as everywhere, and none of them is the first of its pid namespace, whom the kernel
// spares signals. Orphans go to the init, and the kernel reaps them, because it ignores SIGCHLD.
type Cell struct {
	spec  CellSpec
	enter uint64 // what a process of the lane has to enter itself: all but the pid namespace
	init  Child  // the lane's, as what follows; PID 0: there is none
	life  int    // the writing end of a pipe that the init reads
	root  int    // the root directory
	pid   atomic.Int64
}

// Enclose makes a cell and puts into it what is made on the lane from here on. The lane's owner closes it, after the
// lane; the lane is good for nothing when Enclose fails.
func (m *Maker) Enclose(s CellSpec) (*Cell, error) {
	c := &Cell{spec: s, life: -1, root: -1, enter: s.Namespaces &^ sys.CLONE_NEWPID}
	if err := m.open(c); err != nil {
		return nil, err
	}
	return c, nil
}

// open makes the namespaces of a cell, and puts the lane into it.
func (m *Maker) open(c *Cell) error {
	err := m.startInit(c)
	if err == nil {
		c.root, err = sys.OpenDirectory(c.proc("root"))
	}
	if err == nil && c.spec.Namespaces&sys.CLONE_NEWUSER != 0 {
		err = c.mapUsers()
	}
	m.list.cell = c
	if err == nil {
		err = m.furnish(c)
	}
	if err != nil {
		c.Close() //nolint:errcheck // there is an error already
		return fmt.Errorf("make namespaces: %w", err)
	}
	return nil
}

// Renew makes the namespaces of the lane's cell anew when somebody has ended their init, and reports whether it did. What
// was opened in the old ones, as files of its /proc, is of no use in the new. When it fails the lane makes no process, and
// Renew may be tried again.
func (m *Maker) Renew() (renewed bool, err error) {
	c := m.list.cell
	if c == nil || !c.Ended() {
		return false, nil
	}
	if err := errors.Join(c.Close(), m.leavePIDs()); err != nil {
		return false, fmt.Errorf("end namespaces: %w", err)
	}
	m.list.cell = nil // the init is made outside
	err = m.open(c)
	m.list.cell = c
	return err == nil, err
}

// errNoCell says that the lane's cell has ended and could not be made anew.
var errNoCell = errors.New("make process: there are no namespaces to make it in")

// Has reports whether the cell has all of these namespaces; no cell has none.
func (c *Cell) Has(namespaces uint64) bool {
	return c != nil && c.spec.Namespaces&namespaces == namespaces
}

// PID is the init's number. It may be called from anywhere, as Orphans and KillOrphan.
func (c *Cell) PID() int { return int(c.pid.Load()) }

// Ended reports whether the init is gone, and with it the pid namespace: nothing can be made in it any more.
func (c *Cell) Ended() bool {
	if c.init.PID == 0 {
		return true
	}
	_, ended, err := sys.PeekExit(c.init.PIDFD)
	return ended || err != nil
}

// Root is a descriptor of the root directory, as the cell's processes see it.
func (c *Cell) Root() int { return c.root }

// Orphans are the processes in the cell whose parents have ended.
func (c *Cell) Orphans() []int {
	text, _ := os.ReadFile(c.proc("task/" + strconv.Itoa(c.PID()) + "/children"))
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// KillOrphan kills one of them, if it is still one: its number may be another process's by now.
func (c *Cell) KillOrphan(pid int) {
	pidfd, err := sys.PidfdOpen(pid)
	if err != nil {
		return
	}
	defer sys.Close(pidfd)
	if slices.Contains(c.Orphans(), pid) { // the process of the descriptor, or it has ended
		sys.PidfdSendSignal(pidfd, syscall.SIGKILL) //nolint:errcheck // it has just ended
	}
}

func (c *Cell) proc(name string) string { return "/proc/" + strconv.Itoa(c.PID()) + "/" + name }

// Close ends the init and all that is left in its pid namespace. Processes that we have made are to be reaped before:
// the end of a pid namespace waits for them (kernel/pid_namespace.c, zap_pid_ns_processes).
func (c *Cell) Close() error {
	if c == nil {
		return nil
	}
	for _, fd := range []int{c.root, c.life} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
	c.root, c.life = -1, -1
	if c.init.PID == 0 {
		return nil
	}
	defer func() {
		sys.Close(c.init.PIDFD)
		c.init = Child{}
		c.pid.Store(0)
	}()
	for deadline := time.Now().Add(endsWithin); ; time.Sleep(time.Millisecond) {
		_, ended, err := sys.WaitPIDFD(c.init.PIDFD, true)
		if ended || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end namespaces: %s: process %d does not end", c.spec.Name, c.init.PID)
		}
	}
}

// endsWithin is how long a cell may take to end: the kernel has to free the memory of what is left in it.
const endsWithin = 5 * time.Second

// startInit makes the init. It has no rights at all, and nobody in the cell can trace it or end it.
func (m *Maker) startInit(c *Cell) error {
	program, err := initFile()
	if err != nil {
		return err
	}
	defer sys.Close(program)
	reading, writing, err := sys.PipeBlocking()
	if err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	defer sys.Close(reading)
	c.life = writing
	plan, err := Compile(Spec{Path: "/init", Dir: "/", Umask: -1, DropCaps: true, NoNewPrivs: true,
		UserNamespace: c.spec.Namespaces&sys.CLONE_NEWUSER != 0})
	if err != nil {
		return err
	}
	v := Vars{Args: []string{c.spec.Name}, FDs: []int{reading, program}, Cgroup: -1}
	c.init, err = m.make(plan, &v, c.spec.Namespaces, func(l *list) {
		l.steps = l.steps[:len(l.steps)-1]
		l.add("rt_sigaction", sys.SYS_RT_SIGACTION, uintptr(sys.SIGCHLD), address(&ignore), 0, sys.SigsetSize)
		l.add("execveat", sys.SYS_EXECVEAT, uintptr(l.slots+1), address(&noPath[0]), address(&l.argv[0]), address(&l.envp[0]), sys.AT_EMPTY_PATH)
	})
	c.pid.Store(int64(c.init.PID))
	return err
}

// What steps point to.
var (
	ignore = sys.Sigaction{Handler: sys.SIG_IGN}
	noPath = [1]byte{}
	here   = [2]byte{'.'}
)

// mapUsers makes users and groups known in the user namespace, as who they are.
func (c *Cell) mapUsers() error {
	for file, ids := range map[string][]uint32{"uid_map": c.spec.UIDs, "gid_map": c.spec.GIDs} {
		var text strings.Builder
		for _, id := range ids {
			fmt.Fprintf(&text, "%d %d 1\n", id, id)
		}
		if err := os.WriteFile(c.proc(file), []byte(text.String()), 0); err != nil {
			return fmt.Errorf("map users: %w", err)
		}
	}
	return nil
}

// enterPIDs puts what the lane's thread makes into the pid namespace: once for each thread that the lane has had.
func (m *Maker) enterPIDs() error {
	c := m.list.cell
	if c != nil && c.init.PID == 0 {
		return errNoCell
	}
	if m.entered || !c.Has(sys.CLONE_NEWPID) {
		return nil
	}
	if err := sys.Setns(c.init.PIDFD, sys.CLONE_NEWPID); err != nil {
		return &StepError{Step: "setns", Errno: errnoOf(err)}
	}
	m.entered = true
	return nil
}

// leavePIDs has the lane's thread make processes where it is itself again: in a pid namespace that has ended none can be
// made, and no other one beneath it.
func (m *Maker) leavePIDs() error {
	if !m.entered {
		return nil
	}
	self, err := sys.PidfdOpen(os.Getpid())
	if err != nil {
		return err
	}
	defer sys.Close(self)
	if err := sys.Setns(self, sys.CLONE_NEWPID); err != nil {
		return os.NewSyscallError("setns", err)
	}
	m.entered = false
	return nil
}

// enterCell enters the other namespaces by the pidfd of their init. A mount namespace is entered at its very root, which is
// not ours when we have been put into a part of it by chroot: so the init's, which is ours, is made the root again.
func enterCell(l *list, _ *Plan, _ *Vars) {
	c := l.cell
	if c == nil || c.enter == 0 {
		return
	}
	l.add("setns", sys.SYS_SETNS, uintptr(l.slots+cellSlot), uintptr(c.enter))
	if c.enter&sys.CLONE_NEWNS != 0 {
		l.add("chroot", sys.SYS_FCHDIR, uintptr(l.slots+rootSlot))
		l.add("chroot", sys.SYS_CHROOT, address(&here[0]))
	}
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno
}
