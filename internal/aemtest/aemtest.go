// Package aemtest is what the tests of every package share: features a test needs and may skip without, and the check
// that nothing outlives a test run. It is imported by tests only.
package aemtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Feature is something of the host that a test cannot do without.
type Feature struct {
	Name  string
	Probe func() error // nil: the host has it
	Where Where        // which of the machines that may not skip tests has it
	Since Linux        // kernels before this one have it not

	program bool // of the distribution, not of the kernel
}

// Where says which machines must have a feature: those that run continuous integration, and the guests of test/vm.
type Where uint8

const (
	Everywhere Where = iota
	HostOnly         // as cgroup v1
	GuestOnly        // as what containers are kept from
)

// Linux is a version of the kernel.
type Linux struct{ Major, Minor int }

// running is the kernel's own.
var running = func() (v Linux) {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d.%d", &v.Major, &v.Minor)
	}
	if err != nil {
		panic("aem: internal error: no version of the kernel: " + err.Error())
	}
	return v
}()

// Runs reports whether the kernel is this version or a later one.
func (v Linux) Runs() bool {
	return v.Major < running.Major || v.Major == running.Major && v.Minor <= running.Minor
}

// The features tests ask for. A probe returns why the host lacks its feature.
var (
	Root = Feature{Name: "root", Probe: func() error {
		if os.Geteuid() != 0 {
			return errors.New("the tests run without root")
		}
		return nil
	}}
	Guest = Feature{Name: "a guest of test/vm", Where: GuestOnly, Probe: func() error {
		if !inGuest {
			return errors.New("others use this machine")
		}
		return nil
	}}
	Python = Program("python3")
	CC     = compiler()

	HugePages = Feature{Name: "transparent huge pages", Probe: func() error {
		_, err := os.Stat("/sys/kernel/mm/transparent_hugepage")
		return err
	}}
)

// Program is the feature of having a program in PATH.
func Program(name string) Feature {
	return Feature{Name: "program " + name, program: true, Probe: func() error {
		_, err := exec.LookPath(name)
		return err
	}}
}

// compiler is the feature of having C programs.
func compiler() Feature {
	f := Program("cc")
	if inGuest {
		f.Probe = func() error { return nil }
	}
	return f
}

// Require skips the test, saying which feature is missing and why. With AEM_TEST_NOSKIP=1 a missing feature is a
// failure, so that continuous integration cannot grow green by skipping; in a guest, that is so of what is missing in
// its kernel.
func Require(t testing.TB, features ...Feature) {
	t.Helper()
	for _, f := range features {
		err := f.Probe()
		if err == nil {
			continue
		}
		if f.mustBeHere() {
			t.Fatalf("missing feature %s: %v", f.Name, err)
		}
		t.Skipf("missing feature %s: %v", f.Name, err)
	}
}

// mustBeHere reports whether the lack of a feature is a failure. An old kernel lacks what came later. A guest has no
// programs but those that it was given, and its plan says who is root.
func (f *Feature) mustBeHere() bool {
	if !f.Since.Runs() {
		return false
	}
	if inGuest {
		return f.Where != HostOnly && !f.program && f.Name != Root.Name
	}
	return f.Where != GuestOnly && os.Getenv("AEM_TEST_NOSKIP") == "1"
}

// NoLeaks is TestMain's body: it runs the tests and fails the run when goroutines, descriptors or child processes
// are left behind. What clean removes, it removes after the tests, whatever their result.
func NoLeaks(m *testing.M, clean ...func()) {
	if r, w, err := os.Pipe(); err == nil { // with which the runtime makes what it polls with
		r.Close() //nolint:errcheck // nothing was written
		w.Close() //nolint:errcheck // as above
	}
	before := descriptors()
	code := m.Run()
	for _, f := range clean {
		f()
	}
	if code == 0 {
		if err := leaks(before); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// settle is how long what a test ended may take to be gone: goroutines unwind and the runtime closes after the test.
const settle = 2 * time.Second

func leaks(before map[string]string) error {
	if err := goleak.Find(); err != nil {
		return err
	}
	deadline := time.Now().Add(settle)
	for {
		runtime.GC() // files dropped without Close are closed by now: only real leaks stay
		err := compare(before, descriptors())
		if err == nil {
			err = children()
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// descriptors is what each open descriptor refers to, without the runtime's own poller.
func descriptors() map[string]string {
	open := map[string]string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" && len(open) < 8 {
			continue // gone already, or made by the runtime when it first polled
		}
		open[e.Name()] = target
	}
	return open
}

func compare(before, after map[string]string) error {
	for fd, target := range after {
		if _, ok := before[fd]; !ok {
			return fmt.Errorf("leaked descriptor %s: %s", fd, target)
		}
	}
	return nil
}

// children reports a child process that nobody ended or waited for.
func children() error {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		pids, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if len(pids) > 0 {
			return fmt.Errorf("leaked child process: pid %s", pids)
		}
	}
	return nil
}
