package spawn

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// BenchmarkSpawn is from the call to the reaped process; made-ns is the call alone. Neither may grow with the number of
// descriptors that the supervisor has open.
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
			var made time.Duration
			b.ResetTimer()
			lane.Submit(func(m *Maker) {
				defer close(done)
				for range b.N {
					start := time.Now()
					child, err := m.Spawn(plan, vars)
					made += time.Since(start)
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
			b.ReportMetric(float64(made.Nanoseconds())/float64(b.N), "made-ns/op")
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
			var made time.Duration
			b.ResetTimer()
			for range b.N {
				start := time.Now()
				if _, err := syscall.ForkExec(path, []string{"small"}, attr); err != nil {
					b.Fatal(err)
				}
				made += time.Since(start)
				sys.WaitPIDFD(pidfd, false)
				sys.Close(pidfd)
			}
			b.StopTimer()
			b.ReportMetric(float64(made.Nanoseconds())/float64(b.N), "made-ns/op")
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
