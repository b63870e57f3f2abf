package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// role makes the test binary another program: "open" tries to read the log, "answer flags times" calls getppid
// under a filter that gives this answer.
const role = "AEM_TEST_ROLE"

func TestMain(m *testing.M) {
	switch r := os.Getenv(role); r {
	case "":
		aemtest.NoLeaks(m)
	case "open":
		_, err := Open()
		fmt.Print(err)
	default:
		go violate(r)
		io.Copy(io.Discard, os.Stdin) // a killed thread leaves its process: it ends here
	}
}

// violate tells that the call returned: "called"; or the thread is gone by then.
func violate(r string) {
	var answer, flags uint32
	var times int
	_, scan := fmt.Sscan(r, &answer, &flags, &times)
	const load, jumpEqual, ret = 0x20, 0x15, 0x06
	program := []sys.SockFilter{
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: jumpEqual, JF: 1, K: syscall.SYS_GETPPID},
		{Code: ret, K: answer},
		{Code: ret, K: sys.SECCOMP_RET_ALLOW},
	}
	runtime.LockOSThread()
	if err := errors.Join(scan, sys.SetNoNewPrivs(), sys.SeccompFilter(program, flags)); err != nil {
		fmt.Print(err)
		return
	}
	for range times {
		syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
	}
	fmt.Print("called")
}

// raceExit spares each process the second that the race detector waits at its end.
const raceExit = "GORACE=atexit_sleep_ms=0"

// violator is a process that calls getppid under a filter.
type violator struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
}

func start(t *testing.T, answer, flags uint32, times int) violator {
	t.Helper()
	v := violator{cmd: exec.Command("/proc/self/exe")}
	v.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", role, answer, flags, times), raceExit)
	var err1, err2 error
	v.stdin, err1 = v.cmd.StdinPipe()
	v.stdout, err2 = v.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, v.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.stdin.Close()
		v.cmd.Wait() // its status is that of the violation
	})
	return v
}

// called waits until the call is over, and requires that it was made.
func (v violator) called(t *testing.T) {
	t.Helper()
	said := make([]byte, len("called"))
	if n, err := io.ReadFull(v.stdout, said); err == nil && string(said) != "called" || n == 0 && err != io.EOF {
		t.Fatalf("the call was not made: %s, %v", said[:n], err)
	}
}

func openLog(t *testing.T) *Reader {
	t.Helper()
	aemtest.Require(t, auditRead)
	r, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// auditRead needs the kernel's audit and the first network namespace besides the capability, which Open cannot see.
var auditRead = aemtest.Feature{Name: "audit log", Probe: func() error {
	r, err := Open()
	if err != nil {
		return err
	}
	return r.Close()
}}

// records reads until the record of a process, and returns all of the test's.
func records(t *testing.T, r *Reader, until int) (all []Record) {
	t.Helper()
	epfd, err := sys.EpollCreate()
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(epfd)
	if err := sys.EpollAdd(epfd, r.FD(), sys.EPOLLIN, 0); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if time.Now().After(deadline) {
			t.Fatalf("no record of process %d", until)
		}
		if _, err := sys.EpollWait(epfd, make([]sys.EpollEvent, 1), time.Second); err != nil {
			t.Fatal(err)
		}
		record, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			all = append(all, record)
		}
		if ok && record.PID == until {
			return all
		}
	}
}

func TestRecords(t *testing.T) {
	const logged = sys.SECCOMP_FILTER_FLAG_LOG
	tests := []struct {
		name          string
		answer, flags uint32
		recorded      bool
		signal        int
	}{
		{"kill the process", sys.SECCOMP_RET_KILL_PROCESS, 0, true, 31},
		{"kill the thread", sys.SECCOMP_RET_KILL_THREAD, 0, true, 31},
		{"log", sys.SECCOMP_RET_LOG, 0, true, 0},
		{"trap", sys.SECCOMP_RET_TRAP, 0, false, 0},
		{"trap, flag", sys.SECCOMP_RET_TRAP, logged, true, 0},
		{"errno", sys.SECCOMP_RET_ERRNO | 25, 0, false, 0},
		{"errno, flag", sys.SECCOMP_RET_ERRNO | 25, logged, true, 0},
		{"trace", sys.SECCOMP_RET_TRACE | 7, 0, false, 0},
		{"trace, flag", sys.SECCOMP_RET_TRACE | 7, logged, true, 0},
		{"allow, flag", sys.SECCOMP_RET_ALLOW, logged, false, 0},
	}
	arch := map[string]uint32{"amd64": sys.AUDIT_ARCH_X86_64, "arm64": sys.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := openLog(t)
			before := time.Now().Truncate(time.Millisecond).Add(-10 * time.Millisecond) // the kernel's coarse clock is late
			v := start(t, tt.answer, tt.flags, 1)
			if !tt.recorded {
				v.called(t)
				v = start(t, sys.SECCOMP_RET_LOG, 0, 1) // records keep their order: what is not there before this one is not there
			}
			seen := records(t, r, v.cmd.Process.Pid)
			for _, record := range seen[:len(seen)-1] {
				if strings.HasSuffix(record.Exe, "/audit.test") {
					t.Errorf("a record too many: %+v", record)
				}
			}
			if !tt.recorded {
				return
			}
			got := seen[len(seen)-1]
			if got.Syscall != syscall.SYS_GETPPID || got.Arch != arch || got.Signal != tt.signal ||
				got.Action != tt.answer&sys.SECCOMP_RET_ACTION_FULL || got.Comm != "exe" || !strings.HasSuffix(got.Exe, "/audit.test") {
				t.Errorf("the record is %+v", got)
			}
			if got.Time.Before(before) || got.Time.After(time.Now()) {
				t.Errorf("the record is of %v, the call was after %v", got.Time, before)
			}
		})
	}
}

func TestNextDoesNotBlock(t *testing.T) {
	r := openLog(t)
	for range 1000 { // others may write records, but not for ever
		if _, ok, err := r.Next(); !ok && err == nil {
			return
		}
	}
	t.Error("the log never runs dry")
}

func TestLost(t *testing.T) {
	r := openLog(t)
	start(t, sys.SECCOMP_RET_LOG, 0, 2000).called(t) // more than the socket's buffer takes
	lost := 0
	for ok := true; ok; {
		var err error
		_, ok, err = r.Next()
		if errors.Is(err, ErrLost) {
			lost++
			ok = true
		}
	}
	if lost == 0 {
		t.Error("nothing was lost")
	}
	v := start(t, sys.SECCOMP_RET_LOG, 0, 1)
	records(t, r, v.cmd.Process.Pid)
}

// TestSession has a thread with a session of its own make a process: its record tells the session.
func TestSession(t *testing.T) {
	r := openLog(t)
	aemtest.Require(t, aemtest.Root)
	want, err := readNumber("/proc/thread-self/loginuid")
	if err != nil {
		t.Fatal(err)
	}
	if want == unset {
		want = 65534
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread ends with the session
		session, err := BeginSession(65534)
		again, err2 := BeginSession(1)
		if err := errors.Join(err, err2); err != nil || again == session {
			t.Errorf("sessions %d and %d, %v", session, again, err)
			return
		}
		uid, err := readNumber("/proc/thread-self/loginuid")
		if err != nil || uid != want {
			t.Errorf("the login uid is %d, want %d, %v", uid, want, err)
		}
		v := start(t, sys.SECCOMP_RET_LOG, 0, 1)
		seen := records(t, r, v.cmd.Process.Pid)
		if got := seen[len(seen)-1].Session; got != again {
			t.Errorf("the record is of session %d, want %d", got, again)
		}
	}()
	<-done
}

func TestOpenWithoutCapability(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), role+"=open", raceExit)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	output, err := cmd.CombinedOutput()
	if want := "open audit log: needs CAP_AUDIT_READ in the first user namespace"; err != nil || string(output) != want {
		t.Errorf("output is %q, %v; want %q", output, err, want)
	}
}
