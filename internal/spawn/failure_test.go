package spawn

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

func TestFailedStepIsNamed(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Spec, *Vars)
		want   StepError
	}{
		{"no program", func(s *Spec, _ *Vars) { s.Path = "/no/such/program" },
			StepError{Step: "execve", Errno: syscall.ENOENT}},
		{"no permission", func(s *Spec, _ *Vars) { s.Path = "/etc/passwd" },
			StepError{Step: "execve", Errno: syscall.EACCES}},
		{"arguments too long", func(_ *Spec, v *Vars) { v.Args = append(v.Args, strings.Repeat("x", 1<<17)) },
			StepError{Step: "execve", Errno: syscall.E2BIG}},
		{"no directory", func(s *Spec, _ *Vars) { s.Dir = "/no/such/directory" },
			StepError{Step: "chdir", Errno: syscall.ENOENT}},
		{"limit above the system's", func(s *Spec, _ *Vars) { s.Rlimits = []Rlimit{{syscall.RLIMIT_NOFILE, 1 << 40, 1 << 40}} },
			StepError{Step: "prlimit", Errno: syscall.EPERM}},
		{"bad descriptor", func(_ *Spec, v *Vars) { v.FDs = []int{-1, -1, 1 << 20} },
			StepError{Step: "dup3", Errno: syscall.EBADF}},
		{"bad group to be born in", func(_ *Spec, v *Vars) { v.Cgroup = null(t) },
			StepError{Step: "clone3", Errno: syscall.EBADF}},
		{"bad group to join", func(_ *Spec, v *Vars) { v.Join = []int{openFile(t, "/etc/passwd", os.O_RDONLY)} },
			StepError{Step: "cgroup join", Errno: syscall.EBADF}},
		{"bad filter", func(s *Spec, _ *Vars) {
			s.NoNewPrivs, s.Filter = true, &Filter{Insns: []sys.SockFilter{{}}}
		}, StepError{Step: "seccomp", Errno: syscall.EINVAL}},
		{"filter denies execve", func(s *Spec, _ *Vars) {
			s.NoNewPrivs, s.Filter = true, answer(syscall.SYS_EXECVE, retErrno|uint32(syscall.EXDEV))
		}, StepError{Step: "execve", Errno: syscall.EXDEV}},
		{"filter kills at execve", func(s *Spec, _ *Vars) {
			s.NoNewPrivs, s.Filter = true, answer(syscall.SYS_EXECVE, retKill)
		}, StepError{Step: "execve", Signal: syscall.SIGSYS}},
		{"filter denies even exit_group", func(s *Spec, _ *Vars) {
			s.NoNewPrivs, s.Filter = true, denyAll(retErrno|uint32(syscall.EXDEV))
		}, StepError{Step: "execve", Errno: syscall.EXDEV}},
	}
	lane := newLane(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec, vars := shell("exit 0")
			test.change(&spec, &vars)
			made := <-lane.start(t, spec, vars)
			wantStep(t, made.err, test.want)
		})
	}
}

func TestProgramKilledAtItsStartIsNotAFailedSpawn(t *testing.T) {
	lane := newLane(t)
	spec, vars := shell("kill -KILL $$")
	for range 100 {
		made := <-lane.start(t, spec, vars)
		if made.err != nil {
			t.Fatal(made.err)
		}
		if exit := reap(t, made.Child); exit.Signal != syscall.SIGKILL {
			t.Fatalf("got %+v, want death by SIGKILL", exit)
		}
	}
}

func TestExitStatus(t *testing.T) {
	lane := newLane(t)
	spec, vars := shell("exit 7")
	made := <-lane.start(t, spec, vars)
	if made.err != nil {
		t.Fatal(made.err)
	}
	if got, want := reap(t, made.Child), (sys.Exit{Code: 7}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestVarsAreChecked(t *testing.T) {
	lane := newLane(t)
	for want, change := range map[string]func(*Vars){
		"make process: 17 descriptors: at most 16":     func(v *Vars) { v.FDs = make([]int, 17) },
		"make process: 9 groups to join: at most 8":    func(v *Vars) { v.Join = make([]int, 9) },
		"make process: argument 0 contains NUL":        func(v *Vars) { v.Args = []string{"a\x00b"} },
		"make process: variable VARIABLE contains NUL": func(v *Vars) { v.Env = []string{"VARIABLE=a\x00b"} },
	} {
		spec, vars := shell("")
		change(&vars)
		if made := <-lane.start(t, spec, vars); made.err == nil || made.err.Error() != want {
			t.Errorf("got error %v, want %s", made.err, want)
		}
	}
}

func TestSpecIsJudged(t *testing.T) {
	for want, spec := range map[string]Spec{
		"compile sh: the path is not absolute":           {Path: "sh"},
		"compile /bin/sh: the directory is not absolute": {Path: "/bin/sh", Dir: "tmp"},
		"compile /bin/sh: a path contains NUL":           {Path: "/bin/sh", Dir: "/tmp\x00"},
		"compile /bin/sh: no such umask: 01000":          {Path: "/bin/sh", Umask: 0o1000},
		"compile /bin/sh: no such resource: 16":          {Path: "/bin/sh", Rlimits: []Rlimit{{Resource: 16}}},
		"compile /bin/sh: no such nice value: -21":       {Path: "/bin/sh", Scheduling: Scheduling{Nice: new(-21)}},
		"compile /bin/sh: no CPU to run on":              {Path: "/bin/sh", Scheduling: Scheduling{CPUs: new(sys.CPUSet)}},
		"compile /bin/sh: no such oom_score_adj: 1001":   {Path: "/bin/sh", Scheduling: Scheduling{OOMScoreAdj: new(1001)}},
		"compile /bin/sh: a filter of 0 instructions":    {Path: "/bin/sh", NoNewPrivs: true, Filter: &Filter{}},
		"compile /bin/sh: a filter without no_new_privs": {Path: "/bin/sh", Filter: denyAll(retKill)},
	} {
		if _, err := Compile(spec); err == nil || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
	}
}
