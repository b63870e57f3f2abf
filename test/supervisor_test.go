package test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervisor is an `aem-exec run`, in a folder of its own that holds everything of it: aem.toml, run, state, and bin
// with the programs. Its handlers work in that folder, so that each process of its is found by where it works.
type supervisor struct {
	t    *testing.T
	dir  string
	who  user
	cmd  *exec.Cmd
	log  *journal
	born time.Time
	pass []*os.File // sockets that it is passed, as systemd would
	name string     // LISTEN_FDNAMES
	done chan error
}

// head is how each configuration begins; more keys of [supervisor] may follow it.
const head = "[supervisor]\nruntime_dir = \"run\"\nstate_dir = \"state\"\n"

// start runs a supervisor with a configuration, $DIR standing for its folder, until the test ends.
func start(t *testing.T, who user, config string) *supervisor {
	t.Helper()
	s := prepare(t, who, config)
	s.run()
	return s
}

// prepare makes the folder of a supervisor.
func prepare(t *testing.T, who user, config string) *supervisor {
	t.Helper()
	s := &supervisor{t: t, dir: folder(t, who), who: who}
	if err := os.Symlink(filepath.Dir(program(t, "aem-exec")), s.path("bin")); err != nil {
		t.Fatal(err)
	}
	s.write("aem.toml", strings.ReplaceAll(head+config, "$DIR", s.dir))
	return s
}

func (s *supervisor) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a file in the folder; one that begins with #! is a program.
func (s *supervisor) write(name, text string) {
	s.t.Helper()
	mode := fs.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

// command is a run of the program as the supervisor's user.
func (s *supervisor) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.path("bin/aem-exec"), append([]string{"-c", s.path("aem.toml")}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if s.who != myself() {
		id := uint32(s.who.uid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
	return cmd
}

// run starts the supervisor and waits until it says that it is ready.
func (s *supervisor) run() {
	s.t.Helper()
	s.launch()
	s.log.await(s.t, "ready: ")
}

// launch starts the supervisor; at the end of the test it is ended if it runs still.
func (s *supervisor) launch() {
	s.t.Helper()
	cmd, done := s.command("run"), make(chan error, 1)
	s.cmd, s.done, s.log, s.born = cmd, done, newJournal(), time.Now()
	cmd.Stderr = s.log
	if s.pass != nil {
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)
		cmd.Env = append(cmd.Env, "LISTEN_FDS="+itoa(len(s.pass)), "LISTEN_FDNAMES="+s.name)
		cmd.ExtraFiles = s.pass
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { done <- cmd.Wait(); close(done) }()
	log := s.log
	s.t.Cleanup(func() {
		for range 2 { // the second one ends the grace, so that cgroups are removed too
			cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it has ended, which is usual
			select {
			case <-done:
			case <-time.After(time.Second):
			}
		}
		cmd.Process.Kill() //nolint:errcheck // as above
		<-done
		if s.t.Failed() {
			s.t.Logf("log of pid %d:\n%s", cmd.Process.Pid, log.last(8<<10))
		}
	})
}

// signal sends the supervisor a signal.
func (s *supervisor) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// wait waits for the supervisor's end.
func (s *supervisor) wait() error {
	s.t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(patience):
		s.t.Fatal("the supervisor does not end")
		return nil
	}
}

// stop has the supervisor end in order, and checks that nothing of it is left.
func (s *supervisor) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if err := s.wait(); err != nil {
		s.t.Errorf("end of the supervisor: %v", err)
	}
	s.nothingLeft()
}

// crash kills the supervisor, as a kernel that is out of memory would.
func (s *supervisor) crash() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.wait() //nolint:errcheck // "signal: killed"
}

// nothingLeft checks that an ended supervisor left no process, no cgroup and no socket.
func (s *supervisor) nothingLeft() {
	s.t.Helper()
	for _, pid := range s.processes() {
		cmdline, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		s.t.Errorf("process %s is left: %q", pid, cmdline)
	}
	for _, group := range s.cgroups() {
		s.t.Errorf("cgroup %s is left", group)
	}
	filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // it returns none
		if err == nil && d.Type() == fs.ModeSocket {
			s.t.Errorf("socket %s is left", path)
		}
		return nil
	})
}

// processes are those that work in the folder or below it.
func (s *supervisor) processes() []string {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var pids []string
	for _, link := range links {
		at, err := os.Readlink(link)
		pid := filepath.Base(filepath.Dir(link))
		if err == nil && (at == s.dir || strings.HasPrefix(at, s.dir+"/")) && pid != itoa(s.cmd.Process.Pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cgroups are those that bear the supervisor's name, in every hierarchy.
func (s *supervisor) cgroups() []string {
	sum := sha256.Sum256([]byte(s.path("run")))
	name := "aem-" + hex.EncodeToString(sum[:4])
	var groups []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil // others' groups come and go
		case strings.HasPrefix(d.Name(), name):
			groups = append(groups, path)
			return fs.SkipDir
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return groups
}
