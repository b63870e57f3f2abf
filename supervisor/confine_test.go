package supervisor

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/policy"
)

// attempt is something that a process tries, and how that is to end.
type attempt struct{ try, want string }

// attempts has the handler of a/t, a probe, try things.
func (r *run) attempts(all ...attempt) {
	r.t.Helper()
	var lines strings.Builder
	for _, c := range all {
		fmt.Fprintln(&lines, c.try)
	}
	fate := r.emit("a/t", lines.String())
	said := strings.Split(strings.TrimSuffix(string(fate.Reply), "\n"), "\n")
	if fate.Outcome != "done" || len(said) != len(all) {
		r.t.Fatalf("fate %s %s, said %q", fate.Outcome, fate.Reason, said)
	}
	for i, c := range all {
		if said[i] != c.want {
			r.t.Errorf("%s: %s, want %s", c.try, said[i], c.want)
		}
	}
}

// probing is an app whose handler is the probe.
func probing(t *testing.T, c policy.Confinement) App {
	t.Helper()
	a := topicApp(role(t, "probe"))
	a.Confinement = c
	return a
}

// victim is a process of the tests' own user that nothing is to happen to.
func victim(t *testing.T) (pid string) {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("the victim: %v", err)
		}
		cmd.Wait() //nolint:errcheck // it was killed
	})
	return strconv.Itoa(cmd.Process.Pid)
}

// TestHandlerOfRootStaysWhereItIs_R171 has a process of root, without any capability, leave its cgroup, raise its
// limits and reach for other processes: it cannot, and without namespaces of its own it could.
func TestHandlerOfRootStaysWhereItIs_R171(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	pid, self := victim(t), strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct {
		namespaces []policy.Namespace
		kept       bool
	}{
		"by default":         {nil, true},
		"without namespaces": {[]policy.Namespace{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			unless := func(kept string) string { // what is said when it is kept, and otherwise it succeeds
				if c.kept {
					return kept
				}
				return "ok"
			}
			a := probing(t, policy.Confinement{Namespaces: c.namespaces})
			a.Limits.CPU, a.Limits.Memory, a.Limits.PIDs = 0.9, 1<<30, 1000
			r := startRun(t, nil, a)
			r.attempts(
				attempt{"status Uid CapEff CapBnd NoNewPrivs", "0 0 0 0 0000000000000000 0000000000000000 1"},
				attempt{"kill " + pid, unless("no such process")},
				attempt{"kill " + self, unless("no such process")},
				attempt{"ptrace 1", "operation not permitted"}, // the host's init has capabilities, and the cell's is closed
				attempt{"remount /", "operation not permitted"},
				attempt{"uncover /proc", "operation not permitted"},
				attempt{"child", "ok"},
			)
			if c.kept {
				r.attempts(attempt{"see " + pid, "no such file or directory"}, attempt{"see 1", "aem-exec: namespaces of a "},
					attempt{"peek " + pid, "no such file or directory"}, attempt{"ptrace " + pid, "no such process"})
			} else { // the victim has capabilities, which it has not
				r.attempts(attempt{"see " + pid, "/bin/sleep 3600 "},
					attempt{"peek " + pid, "permission denied"}, attempt{"ptrace " + pid, "operation not permitted"})
			}
			r.attempts(r.limitAttempts(unless("read-only file system"))...)
			r.attempts(nestedAttempts(t, unless("operation not permitted"))...)
			mine := filepath.Join(t.TempDir(), "file")
			r.attempts(attempt{"make " + mine, "ok"}, attempt{"set " + mine + " text", "ok"}) // nothing else is taken away
			if !c.kept {
				r.logged("handlers run as the supervisor's own user: their limits are advisory")
			}
		})
	}
}

// limitAttempts write to the files of the app's cgroups, and join the cgroups above all.
func (r *run) limitAttempts(want string) (all []attempt) {
	r.t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != treeName(r.options.RuntimeDir) {
			return nil // others' groups come and go
		}
		for file, text := range map[string]string{
			"cpu.cfs_quota_us": "-1", "memory.memsw.limit_in_bytes": "-1", "cpu.max": "max", "memory.max": "max", "pids.max": "max",
			"cgroup.freeze": "0",
		} {
			if file = filepath.Join(path, "a", file); exists(file) {
				all = append(all, attempt{"set " + file + " " + text, want})
			}
		}
		all = append(all, attempt{"set " + filepath.Join(filepath.Dir(path), "cgroup.procs") + " 0", want})
		return fs.SkipDir
	})
	if err != nil || len(all) < 4 {
		r.t.Fatalf("the app's cgroups: %v %v", all, err)
	}
	return all
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// nestedAttempts do it by way of cgroups mounted anew in a user namespace.
func nestedAttempts(t *testing.T, want string) []attempt {
	t.Helper()
	all := []attempt{{"nest cgroup2: cgroup.procs=0", want}}
	if exists("/sys/fs/cgroup/cpu/cpu.cfs_period_us") {
		all = append(all, attempt{"nest cgroup:cpu cpu.cfs_quota_us=-1", want})
	}
	return all
}

// TestNamespacesAreMadeAnew has somebody end the init of an app's namespaces: the processes in them end with it, those
// that come find new ones, and every event has its fate.
func TestNamespacesAreMadeAnew(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	for _, life := range []executor.Life{executor.Cold, executor.Resident} {
		t.Run(string(life), func(t *testing.T) {
			a := probing(t, policy.Confinement{Paths: &policy.Paths{Read: append(libraries(), "/proc", "/sys")}})
			a.Handlers[0].Life, a.Handlers[0].Size = life, 1
			a.Limits.PIDs, a.Limits.CPU = 100, 0.9
			if refused(t, a, "paths", 3) {
				return
			}
			r := startRun(t, nil, a)
			kept := []attempt{{"see 1", "aem-exec: namespaces of a "}, {"status NoNewPrivs", "1"}, {"read /etc/passwd", "permission denied"},
				{"remount /", "operation not permitted"}}
			for range 2 {
				r.attempts(append(kept, r.limitAttempts("read-only file system")...)...)
				init := r.apps[0].work.Cell.PID()
				if err := syscall.Kill(init, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				for r.apps[0].work.Cell.PID() == init && !dead(init) { // it ends when all that it held have
					time.Sleep(time.Millisecond)
				}
				r.attempts(kept...)
				if now := r.apps[0].work.Cell.PID(); now == init {
					t.Errorf("the init is %d still", now)
				}
			}
			if n := strings.Count(r.logs.String(), "made the app's namespaces anew: their init was ended from outside"); n != 2 {
				t.Errorf("it is said %d times", n)
			}
		})
	}
}

// dead reports whether a process has ended, whoever has still to wait for it.
func dead(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// TestConfinement looks from inside at what keys of the policy give and take.
func TestConfinement_R171(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	kept, err := policy.ParseCapability("net_bind_service")
	if err != nil {
		t.Fatal(err)
	}
	mine, shared, other := open(t), open(t), victim(t)
	for _, file := range []string{mine, shared} {
		if err := os.WriteFile(file+"/file", []byte("text"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file+"/file", 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		user string // "" root
		policy.Confinement
		attempts []attempt
	}{
		{"capabilities of root", "", policy.Confinement{Capabilities: kept}, []attempt{
			{"status CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs", strings.Repeat("0000000000000400 ", 5) + "1"},
		}},
		{"capabilities of a user", "nobody", policy.Confinement{Capabilities: kept}, []attempt{
			{"status CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs", strings.Repeat("0000000000000400 ", 5) + "1"},
		}},
		{"capabilities in a user namespace", "nobody", policy.Confinement{Capabilities: kept, Namespaces: policy.Namespaces()}, []attempt{
			{"status Uid CapEff CapBnd", "65534 65534 65534 65534 0000000000000400 0000000000000400"},
			{"see " + other, "no such file or directory"},
		}},
		{"read-only", "nobody", policy.Confinement{ReadOnly: true, Paths: &policy.Paths{Write: []string{mine}}}, []attempt{
			{"read /etc/passwd", "ok"},
			{"make " + mine + "/new", "ok"},
			{"make " + shared + "/new", "read-only file system"},
			{"make /dev/shm/new", "read-only file system"},
			{"kill " + other, "operation not permitted"},
		}},
		{"read-only for root", "", policy.Confinement{ReadOnly: true}, []attempt{
			{"make " + mine + "/new", "read-only file system"},
			{"make /new", "read-only file system"},
			{"set /proc/sys/kernel/core_pattern core", "read-only file system"},
			{"read /etc/shadow", "ok"},
		}},
		{"paths to write", "nobody", policy.Confinement{Paths: &policy.Paths{Write: []string{mine}}}, []attempt{
			{"read /etc/passwd", "ok"},
			{"list /", "ok"},
			{"set " + mine + "/file text", "ok"},
			{"set " + shared + "/file text", "permission denied"},
			{"cut " + shared + "/file", "permission denied"},
			{"make " + shared + "/new", "permission denied"},
			{"move " + mine + "/file " + shared + "/moved", "permission denied"},
			{"move " + mine + "/file " + mine + "/moved", "ok"},
			{"set /dev/null text", "ok"},
			{"run /bin/true", "ok"},
		}},
		{"paths to read", "nobody", policy.Confinement{Paths: &policy.Paths{Read: append(libraries(), mine, "/proc")}}, []attempt{
			{"read " + mine + "/moved", "ok"},
			{"list " + mine, "ok"},
			{"read " + shared + "/file", "permission denied"},
			{"read /etc/passwd", "permission denied"},
			{"list /", "permission denied"},
			{"run /bin/true", "permission denied"},
			{"set " + mine + "/moved text", "permission denied"},
			{"status NoNewPrivs", "1"},
		}},
		{"paths of root", "", policy.Confinement{Paths: &policy.Paths{Read: append(libraries(), "/proc")}}, []attempt{
			{"status NoNewPrivs", "1"}, // in the cell's own /proc
			{"read /sys/kernel/mm/transparent_hugepage/enabled", "permission denied"},
			{"read /etc/shadow", "permission denied"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := probing(t, c.Confinement)
			a.User = c.user
			if c.Paths != nil && refused(t, a, "paths", 3) {
				return
			}
			startRun(t, nil, a).attempts(c.attempts...)
		})
	}
}

// TestProfileAsksForCapabilities_R171 has Docker's profile let in the calls that a kept capability is for.
func TestProfileAsksForCapabilities_R171(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	chroot, err := policy.ParseCapability("sys_chroot")
	if err != nil {
		t.Fatal(err)
	}
	for kept, want := range map[policy.Capabilities]string{0: "operation not permitted", chroot: "ok"} {
		a := probing(t, policy.Confinement{Capabilities: kept})
		a.User = "nobody"
		if a.Seccomp, err = policy.Builtin(policy.Default, policy.Only); err != nil {
			t.Fatal(err)
		}
		startRun(t, nil, a).attempts(attempt{"chroot /", want})
	}
}

// refused reports whether the kernel's Landlock is older than what the app asks for, which it is refused for then.
func refused(t *testing.T, a App, what string, since int) bool {
	t.Helper()
	if abi, err := policy.LandlockABI(); err == nil && abi >= since {
		return false
	}
	if found := CheckHost(Options{Apps: []App{a}}); len(found) != 1 || !strings.Contains(found[0].Error(), what+" wants Landlock") {
		t.Errorf("a kernel without it says %v", found)
	}
	return true
}

// libraries are the folders that a program linked with some finds them in.
func libraries() []string {
	return slices.DeleteFunc([]string{"/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"}, func(path string) bool { return !exists(path) })
}

// open is a folder that everybody may write in.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "aem-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOwnSignals has a process signal others of its user.
func TestOwnSignals_R171(t *testing.T) {
	if refused(t, probing(t, policy.Confinement{Signals: policy.OwnSignals}), `signals = "own"`, policy.SignalsABI) {
		return
	}
	pid := victim(t)
	for name, c := range map[string]struct {
		policy.Signals
		want string
	}{"own": {policy.OwnSignals, "operation not permitted"}, "any": {policy.AnySignals, "ok"}} {
		t.Run(name, func(t *testing.T) {
			r := startRun(t, nil, probing(t, policy.Confinement{Signals: c.Signals, Namespaces: []policy.Namespace{}}))
			r.attempts(attempt{"kill " + pid, c.want}, attempt{"kill " + strconv.Itoa(os.Getpid()), c.want}, attempt{"child", "ok"})
		})
	}
}
