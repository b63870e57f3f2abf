package spawn

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// enclose makes a lane with a cell; both are closed with the test.
func enclose(t testing.TB, s CellSpec) (*Lane, *Cell) {
	t.Helper()
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stage.Close)
	lane := openLane(t, stage, 1)
	cell, err := lane.enclose(s)
	if err != nil {
		lane.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lane.Close()
		if err := cell.Close(); err != nil {
			t.Error(err)
		}
	})
	return lane, cell
}

func (l *Lane) enclose(s CellSpec) (cell *Cell, err error) {
	s.Name = "init of a test"
	done := make(chan struct{})
	l.Submit(func(m *Maker) {
		cell, err = m.Enclose(s)
		close(done)
	})
	<-done
	return cell, err
}

func (l *Lane) renew() (renewed bool, err error) {
	done := make(chan struct{})
	l.Submit(func(m *Maker) {
		renewed, err = m.Renew()
		close(done)
	})
	<-done
	return renewed, err
}

const everyNamespace = sys.CLONE_NEWNS | sys.CLONE_NEWPID | sys.CLONE_NEWNET | sys.CLONE_NEWIPC | sys.CLONE_NEWUTS | sys.CLONE_NEWUSER

// TestCellIsSeenByTheProgram looks at namespaces from inside: which are its own, and what is in them.
func TestCellIsSeenByTheProgram(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	links := `for n in mnt pid net ipc uts user; do [ "$(readlink /proc/self/ns/$n)" = "$(eval echo \$$n)" ] || echo $n; done`
	var ours []string
	for _, n := range []string{"mnt", "pid", "net", "ipc", "uts", "user"} {
		link, err := os.Readlink("/proc/self/ns/" + n)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, n+"="+link)
	}
	writable := t.TempDir()
	for _, test := range []struct {
		name   string
		cell   CellSpec
		change func(*Spec)
		script string
		want   string
	}{
		{"mount", CellSpec{Namespaces: sys.CLONE_NEWNS}, nil, links, "mnt"},
		{"network", CellSpec{Namespaces: sys.CLONE_NEWNET}, nil, links + `; grep -c : /proc/net/dev; grep -qw 127.0.0.1 /proc/net/fib_trie && echo up`, "net\n1\nup"},
		{"every one", CellSpec{Namespaces: everyNamespace, UIDs: []uint32{0}, GIDs: []uint32{0}}, nil, links, "mnt\npid\nnet\nipc\nuts\nuser"},
		{"own numbers", CellSpec{Namespaces: sys.CLONE_NEWNS | sys.CLONE_NEWPID}, nil,
			`[ $$ -lt 10 ] && echo small; tr '\0' ' ' </proc/1/cmdline; echo; set -- /proc/[0-9]*; echo $#`, "small\ninit of a test \n2"}, // and the shell
		{"signals", CellSpec{Namespaces: sys.CLONE_NEWPID}, nil, `kill -TERM $$; echo survived`, ""},
		{"cgroups", CellSpec{Namespaces: sys.CLONE_NEWNS}, nil,
			`for m in $(grep -E ' cgroup2? ' /proc/self/mounts | cut -d' ' -f2); do mkdir $m/aem-test-$$ 2>/dev/null && echo $m; rmdir $m/aem-test-$$ 2>/dev/null; done; : >` + writable + `/file && echo written`, "written"},
		{"read-only", CellSpec{Namespaces: sys.CLONE_NEWNS | sys.CLONE_NEWPID, ReadOnly: true}, nil,
			`for f in /tmp/x /etc/x /proc/sys/kernel/domainname /dev/shm/x ` + writable + `/file; do (: >$f) 2>/dev/null && echo $f; done; :`, ""},
		{"read-only but", CellSpec{Namespaces: sys.CLONE_NEWNS, ReadOnly: true, Writable: []string{writable}}, nil,
			`for f in /tmp/x /etc/x ` + writable + `/file; do (: >$f) 2>/dev/null && echo $f; done`, writable + "/file"},
		{"user", CellSpec{Namespaces: sys.CLONE_NEWUSER, UIDs: []uint32{1001}, GIDs: []uint32{1002, 7}}, func(s *Spec) {
			s.UserNamespace, s.DropCaps, s.NoNewPrivs, s.Identity = true, true, true, &Identity{1001, 1002, []uint32{7}}
		}, status("Uid", "Gid", "Groups", "Cap???"), "Uid: 1001 1001 1001 1001\nGid: 1002 1002 1002 1002\nGroups: 7\n" + noCaps},
		{"capability in it", CellSpec{Namespaces: sys.CLONE_NEWUSER | sys.CLONE_NEWUTS, UIDs: []uint32{1001}, GIDs: []uint32{1001}}, func(s *Spec) {
			s.UserNamespace, s.DropCaps, s.NoNewPrivs, s.Identity = true, true, true, &Identity{UID: 1001, GID: 1001}
			s.KeepCaps = 1 << 21 // sys_admin
		}, status("CapEff") + `; hostname elsewhere && hostname`, "CapEff: 0000000000200000\nelsewhere"},
	} {
		t.Run(test.name, func(t *testing.T) {
			lane, _ := enclose(t, test.cell)
			spec, vars := shell(test.script)
			vars.Env = append(vars.Env, ours...)
			if test.change != nil {
				test.change(&spec)
			}
			if got := output(t, lane, spec, vars); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
	if name, err := os.Hostname(); name == "elsewhere" {
		t.Errorf("the host is %s: %v", name, err)
	}
}

// TestProcessInACellIsOurChild has its exit status, its signals and its number as everywhere.
func TestProcessInACellIsOurChild(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	lane, _ := enclose(t, CellSpec{Namespaces: sys.CLONE_NEWNS | sys.CLONE_NEWPID})
	spec, vars := shell("exit 7")
	made := <-lane.start(t, spec, vars)
	if made.err != nil {
		t.Fatal(made.err)
	}
	if made.Inner == made.PID || made.Inner < 2 {
		t.Errorf("it is %d here and %d there", made.PID, made.Inner)
	}
	if exit := reap(t, made.Child); exit != (sys.Exit{Code: 7}) {
		t.Errorf("it ended with %+v", exit)
	}
	spec, vars = shell("exec sleep 60")
	if made = <-lane.start(t, spec, vars); made.err != nil {
		t.Fatal(made.err)
	}
	sys.KillGroup(made.PID, syscall.SIGTERM)
	if exit := reap(t, made.Child); exit.Signal != syscall.SIGTERM {
		t.Errorf("it ended with %+v", exit)
	}
	spec, vars = Spec{Path: "/usr/bin/env", Umask: -1}, Vars{Args: []string{"env"}, ListenPID: true}
	if got := output(t, lane, spec, vars); len(got) > len("LISTEN_PID=99") {
		t.Errorf("it is told %s", got)
	}
}

// TestCellOutlivesTheThreadOfItsLane has another thread make a process: it is in the cell all the same.
func TestCellOutlivesTheThreadOfItsLane(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	lane, _ := enclose(t, CellSpec{Namespaces: sys.CLONE_NEWNS | sys.CLONE_NEWPID})
	waitIdle(lane)
	lane.mu.Lock()
	done := lane.done
	lane.mu.Unlock()
	lane.look()
	lane.look() // nothing was done in between
	<-done
	spec, vars := shell("echo $$")
	if got := output(t, lane, spec, vars); len(got) > 2 {
		t.Errorf("the process is %s in there", got)
	}
}

// TestOrphansInACellAreReaped has a process leave children behind: one that ends, and one that does not.
func TestOrphansInACellAreReaped(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	lane, cell := enclose(t, CellSpec{Namespaces: sys.CLONE_NEWNS | sys.CLONE_NEWPID})
	spec, vars := shell("sleep 0 & sleep 60 & exit 0")
	made := <-lane.start(t, spec, vars)
	if made.err != nil {
		t.Fatal(made.err)
	}
	reap(t, made.Child)
	for deadline := time.Now().Add(20 * time.Second); len(cell.Orphans()) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the init has children %v", cell.Orphans())
		}
	}
	if cell.Ended() {
		t.Error("the init ended")
	}
	left := cell.Orphans()[0]
	if err := cell.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(left, 0); err != syscall.ESRCH {
		t.Errorf("process %d outlived its cell: %v", left, err)
	}
}

// TestInitCannotBeEndedFromInside tries what processes of the cell could do to it.
func TestInitCannotBeEndedFromInside(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	lane, cell := enclose(t, CellSpec{Namespaces: sys.CLONE_NEWNS | sys.CLONE_NEWPID})
	spec, vars := shell("kill -KILL 1; kill -TERM 1; kill -STOP 1; kill -CHLD 1; cat /proc/1/environ 2>/dev/null || echo closed; " +
		"while read -r key value; do case $key in CapEff:|NoNewPrivs:|Uid:) echo $value;; esac; done </proc/1/status")
	spec.DropCaps, spec.NoNewPrivs = true, true
	want := "closed\n0 0 0 0\n0000000000000000\n1"
	if got := output(t, lane, spec, vars); got != want || cell.Ended() {
		t.Errorf("ended %t, and it said\n%s\nwant\n%s", cell.Ended(), got, want)
	}
}

// TestCellIsRenewed ends its init from outside: nothing can be made in it, until it is renewed.
func TestCellIsRenewed(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	for name, namespaces := range map[string]uint64{"pid": sys.CLONE_NEWPID, "mount": sys.CLONE_NEWNS, "every one": everyNamespace} {
		t.Run(name, func(t *testing.T) {
			lane, cell := enclose(t, CellSpec{Namespaces: namespaces, UIDs: []uint32{0}, GIDs: []uint32{0}})
			links := `[ "$(readlink /proc/self/ns/pid /proc/self/ns/mnt)" = "$OURS" ] || echo other`
			ours := ""
			for _, n := range []string{"pid", "mnt"} {
				link, err := os.Readlink("/proc/self/ns/" + n)
				if err != nil {
					t.Fatal(err)
				}
				ours += link + "\n"
			}
			for range 2 {
				if renewed, err := lane.renew(); renewed || err != nil {
					t.Errorf("one that is there was renewed: %t, %v", renewed, err)
				}
				if err := sys.PidfdSendSignal(cell.init.PIDFD, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				for deadline := time.Now().Add(20 * time.Second); !cell.Ended() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				}
				spec, vars := shell(links)
				vars.Env = append(vars.Env, "OURS="+strings.TrimSpace(ours))
				if made := <-lane.start(t, spec, vars); made.err == nil || !strings.Contains(made.err.Error(), "their init was ended from outside") {
					t.Errorf("got error %v", made.err)
				}
				if renewed, err := lane.renew(); !renewed || err != nil {
					t.Fatalf("renewed: %t, %v", renewed, err)
				}
				if got := output(t, lane, spec, vars); got != "other" {
					t.Errorf("it is in our namespaces: %s", got)
				}
			}
		})
	}
}

// TestCellThatCannotBeRenewed has nothing made outside of it.
func TestCellThatCannotBeRenewed(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	writable := t.TempDir()
	lane, cell := enclose(t, CellSpec{Namespaces: sys.CLONE_NEWNS | sys.CLONE_NEWPID, ReadOnly: true, Writable: []string{writable}})
	if err := os.Remove(writable); err != nil {
		t.Fatal(err)
	}
	if err := sys.PidfdSendSignal(cell.init.PIDFD, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !cell.Ended() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	for range 2 {
		if renewed, err := lane.renew(); renewed || err == nil || !strings.Contains(err.Error(), "no such file or directory") {
			t.Errorf("renewed: %t, %v", renewed, err)
		}
		spec, vars := shell("exit 0")
		if made := <-lane.start(t, spec, vars); !errors.Is(made.err, errNoCell) {
			t.Errorf("got error %v", made.err)
		}
	}
	if err := os.Mkdir(writable, 0o700); err != nil {
		t.Fatal(err)
	}
	if renewed, err := lane.renew(); !renewed || err != nil {
		t.Errorf("renewed: %t, %v", renewed, err)
	}
	spec, vars := shell("(: >" + writable + "/file) && echo written; (: >/etc/file) 2>/dev/null || echo kept")
	if got := output(t, lane, spec, vars); got != "written\nkept" {
		t.Errorf("got %s", got)
	}
}

func TestCellThatCannotBeMadeIsRefused(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	lane := newLane(t)
	_, err := lane.enclose(CellSpec{Namespaces: sys.CLONE_NEWNS, ReadOnly: true, Writable: []string{"/no/such/folder"}})
	if want := "make namespaces: make process: mount /no/such/folder: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// TestFurnitureStaysWhereItsStepsPoint has the stack move that they were written on.
func TestFurnitureStaysWhereItsStepsPoint(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stage.Close)
	lane := openLane(t, stage, 1)
	lane.Submit(func(m *Maker) {
		cell, err := m.Enclose(CellSpec{Name: "init of a test", Namespaces: sys.CLONE_NEWNS})
		if err != nil {
			t.Error(err)
			return
		}
		deep(100_000)
		points := 0
		for _, s := range m.list.steps {
			if s.nr != sys.SYS_MOUNT_SETATTR {
				continue
			}
			points++
			if f := m.list.furniture; s.args[3] != address(&f.readOnly) || f.readOnly.Attr_set != sys.MOUNT_ATTR_RDONLY {
				t.Errorf("%s points to %#x", s.name, s.args[3])
			}
		}
		if err := cell.Close(); err != nil || points == 0 {
			t.Errorf("%d mounts became read-only, %v", points, err)
		}
	})
	lane.Close()
}

// deep makes the stack grow.
func deep(n int) byte {
	var frame [256]byte
	if n > 0 {
		frame[n%len(frame)] = deep(n-1) + 1
	}
	return frame[(n+1)%len(frame)]
}

func TestReadOnlyMounts(t *testing.T) {
	mounts := parseMounts(`21 1 8:1 / / rw shared:1 - ext4 /dev/sda rw
22 21 0:5 / /proc rw - proc proc rw
23 21 0:6 / /sys/fs/cgroup rw - cgroup2 cgroup rw
24 21 8:2 / /var/a\040b rw - ext4 /dev/sdb rw
25 24 8:3 / /var/a\040b/c rw - ext4 /dev/sdc rw
26 24 8:3 / /var/a\040bc rw - ext4 /dev/sdc rw
27 24 0:7 / /var/a\040b/cgroup rw - cgroup cgroup rw,cpu
bad line
`)
	if len(mounts) != 7 {
		t.Fatalf("%d mounts", len(mounts))
	}
	for _, c := range []struct {
		spec CellSpec
		want string
	}{
		{CellSpec{}, "/sys/fs/cgroup|/var/a b/cgroup"},
		{CellSpec{ReadOnly: true, Writable: []string{"/var/a b"}}, "/|/proc|/sys/fs/cgroup|/var/a bc|/var/a b/cgroup"},
		{CellSpec{ReadOnly: true, Writable: []string{"/"}}, "/sys/fs/cgroup|/var/a b/cgroup"},
	} {
		if got := strings.Join(c.spec.readOnly(mounts), "|"); got != c.want {
			t.Errorf("%+v: %s, want %s", c.spec, got, c.want)
		}
	}
}
