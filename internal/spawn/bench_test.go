package spawn

import (
	"os"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// BenchmarkSpawn is from the call to the reaped process. The cost must not grow with what the supervisor has open.
func BenchmarkSpawn(b *testing.B) {
	path := small(b)
	plain := Spec{Path: path, Umask: -1}
	policy := Spec{Path: path, Dir: "/", Umask: 0o022, Identity: &Identity{UID: 1001, GID: 1001}, DropCaps: true, NoNewPrivs: true,
		Rlimits: []Rlimit{{syscall.RLIMIT_CORE, 0, 0}, {syscall.RLIMIT_CPU, 60, 60}, {syscall.RLIMIT_NOFILE, 100, 100}},
		Filter:  answer(syscall.SYS_PTRACE, retErrno)}
	for _, bench := range []struct {
		name string
		spec Spec
		open int
	}{
		{"plain/20open", plain, 20},
		{"plain/15000open", plain, 15000},
		{"policy/20open", policy, 20},
		{"policy/15000open", policy, 15000},
	} {
		b.Run(bench.name, func(b *testing.B) {
			lane := newLane(b)
			openMany(b, bench.open)
			plan, err := Compile(bench.spec)
			if err != nil {
				b.Fatal(err)
			}
			vars := Vars{Args: []string{"small"}, Env: os.Environ(), FDs: []int{0, 1, 2}}
			done := make(chan struct{})
			b.ResetTimer()
			lane.Submit(func(m *Maker) {
				defer close(done)
				for range b.N {
					child, err := m.Spawn(plan, vars)
					if err != nil {
						b.Error(err)
						return
					}
					sys.WaitPIDFD(child.PIDFD, false)
					sys.Close(child.PIDFD)
				}
			})
			<-done
			b.StopTimer()
		})
	}
}

// BenchmarkForkExec is what the standard library takes for the plain case.
func BenchmarkForkExec(b *testing.B) {
	path := small(b)
	for name, open := range map[string]int{"20open": 20, "15000open": 15000} {
		b.Run(name, func(b *testing.B) {
			openMany(b, open)
			var pidfd int
			attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2},
				Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}}
			b.ResetTimer()
			for range b.N {
				if _, err := syscall.ForkExec(path, []string{"small"}, attr); err != nil {
					b.Fatal(err)
				}
				sys.WaitPIDFD(pidfd, false)
				sys.Close(pidfd)
			}
			b.StopTimer()
		})
	}
}

// openMany opens n descriptors that are closed with the benchmark.
func openMany(b *testing.B, n int) {
	b.Helper()
	first, err := sys.Eventfd()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sys.Close(first) })
	for range n {
		fd, err := sys.Dup(first, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { sys.Close(fd) })
	}
}
