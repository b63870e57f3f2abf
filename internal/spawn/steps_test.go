package spawn

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// status prints lines of the shell's own /proc/self/status, without a process in between.
func status(keys ...string) string {
	return fmt.Sprintf(`while read -r key value; do case $key in %s:) echo $key $value;; esac; done </proc/self/status`,
		strings.Join(keys, ":|"))
}

func TestStepsAreSeenByTheProgram(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	dir := t.TempDir()
	tests := []struct {
		name   string
		change func(*Spec, *Vars)
		script string
		want   string
	}{
		{"arguments", func(_ *Spec, v *Vars) { v.Args = append(v.Args, "zero", "", "two words") },
			`echo "$0|$1|$2|$#"`, "zero||two words|2"},
		{"environment", func(_ *Spec, v *Vars) { v.Env = append(v.Env, "EMPTY=", "B=1 2") },
			`echo "${EMPTY-unset}|$B|${HOME-unset}"`, "|1 2|unset"},
		{"session", nil,
			`read -r pid comm state ppid group session rest </proc/self/stat; echo $((pid - group)) $((pid - session))`, "0 0"},
		{"identity", func(s *Spec, _ *Vars) { s.Identity = &Identity{1001, 1002, []uint32{7, 5}} },
			status("Uid", "Gid", "Groups"), "Uid: 1001 1001 1001 1001\nGid: 1002 1002 1002 1002\nGroups: 5 7"},
		{"no groups", func(s *Spec, _ *Vars) { s.Identity = &Identity{UID: 1001, GID: 1001} },
			status("Groups"), "Groups:"},
		{"no capabilities as root", func(s *Spec, _ *Vars) { s.DropCaps = true },
			status("Uid", "Cap???"), "Uid: 0 0 0 0\n" + noCaps},
		{"no capabilities as a user", func(s *Spec, _ *Vars) {
			s.DropCaps, s.NoNewPrivs, s.Identity = true, true, &Identity{UID: 1001, GID: 1001}
		}, status("Cap???"), noCaps},
		{"no new privileges", func(s *Spec, _ *Vars) { s.NoNewPrivs = true }, status("NoNewPrivs"), "NoNewPrivs: 1"},
		{"directory", func(s *Spec, _ *Vars) { s.Dir = dir }, "pwd -P", dir},
		{"umask", func(s *Spec, _ *Vars) { s.Umask = 0o137 }, "umask", "0137"},
		{"limits", func(s *Spec, _ *Vars) {
			s.Rlimits = []Rlimit{{syscall.RLIMIT_NOFILE, 10, 12}, {syscall.RLIMIT_CPU, 50, 60}, {syscall.RLIMIT_FSIZE, 512, 1024}}
		}, "ulimit -Sn; ulimit -Hn; ulimit -St; ulimit -Ht; ulimit -Sf; ulimit -Hf", "10\n12\n50\n60\n1\n2"},
		{"nice", func(s *Spec, _ *Vars) { s.Nice = new(7) }, "nice", "7"},
		{"io priority", func(s *Spec, _ *Vars) { s.IOPriority = 2<<13 | 6 }, "ionice -p $$", "best-effort: prio 6"},
		{"affinity", func(s *Spec, _ *Vars) { s.CPUs = oneCPU(t) }, `[ "$(nproc)" = 1 ] && echo one`, "one"},
		{"out of memory", func(s *Spec, _ *Vars) { s.OOMScoreAdj = new(321) }, "read score </proc/self/oom_score_adj; echo $score", "321"},
		{"filter", func(s *Spec, _ *Vars) { s.NoNewPrivs, s.Filter = true, answer(syscall.SYS_UMASK, retErrno|99) },
			status("Seccomp"), "Seccomp: 2"},
		{"signals", nil, status("SigBlk", "SigIgn"), "SigBlk: 0000000000000000\nSigIgn: 0000000000000000"},
		{"own pid", func(_ *Spec, v *Vars) { v.ListenPID = true }, `echo $((LISTEN_PID - $$))`, "0"},
		{"descriptors", func(_ *Spec, v *Vars) { v.FDs = []int{-1, 0, -1, null(t), -1, null(t)} },
			`i=0; while [ $i -lt 200 ]; do [ -e /proc/self/fd/$i ] && echo $i; i=$((i + 1)); done`, "1\n3\n5"},
	}
	lane := newLane(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec, vars := shell(test.script)
			if test.change != nil {
				test.change(&spec, &vars)
			}
			if got := output(t, lane, spec, vars); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

const noCaps = "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n" +
	"CapBnd: 0000000000000000\nCapAmb: 0000000000000000"

// oneCPU is the last of those that we may run on.
func oneCPU(t *testing.T) *sys.CPUSet {
	t.Helper()
	ours, err := sys.Affinity()
	if err != nil {
		t.Fatal(err)
	}
	one := new(sys.CPUSet)
	for cpu := range sys.CPUs {
		if ours.IsSet(cpu) {
			one.Zero()
			one.Set(cpu)
		}
	}
	return one
}

func null(t *testing.T) int { return openFile(t, os.DevNull, os.O_RDWR) }

func TestAllSixteenDescriptorsAreTheOnesGiven(t *testing.T) {
	lane := newLane(t)
	spec, vars := shell(`for i in 0 2 3 4 5 6 7 8 9; do read -r line <&$i; echo $i $line; done`)
	var want strings.Builder
	vars.FDs = make([]int, MaxFDs)
	for i := range vars.FDs {
		path := fmt.Sprintf("%s/%d", t.TempDir(), i)
		if err := os.WriteFile(path, []byte(fmt.Sprintln("file", i)), 0o600); err != nil {
			t.Fatal(err)
		}
		vars.FDs[i] = openFile(t, path, os.O_RDONLY)
		if i < 10 && i != 1 { // a shell redirects one digit only; 1 is its output
			fmt.Fprintln(&want, i, "file", i)
		}
	}
	if got := output(t, lane, spec, vars) + "\n"; got != want.String() {
		t.Errorf("got\n%swant\n%s", got, &want)
	}
}

func TestListenPIDReplacesOneInTheEnvironment(t *testing.T) {
	lane := newLane(t)
	spec := Spec{Path: "/usr/bin/env", Umask: -1}
	vars := Vars{Args: []string{"env"}, Env: []string{"A=1", "LISTEN_PID=1", "B=2"}, ListenPID: true}
	if got := output(t, lane, spec, vars); !regexp.MustCompile(`^A=1\nB=2\nLISTEN_PID=[0-9]{2,}$`).MatchString(got) {
		t.Errorf("got\n%s", got)
	}
}

func TestBlockedSignalsOfTheLaneAreNotInherited(t *testing.T) {
	lane := newLane(t)
	lane.Submit(func(*Maker) { setMask(1 << (syscall.SIGUSR2 - 1)) })
	spec, vars := shell(status("SigBlk"))
	waitIdle(lane)
	if got, want := output(t, lane, spec, vars), "SigBlk: 0000000000000000"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	lane.Submit(func(*Maker) { setMask(0) })
}

// waitIdle returns when the lane has run all that was submitted before.
func waitIdle(l *Lane) {
	idle := make(chan struct{})
	for !l.Submit(func(*Maker) { close(idle) }) {
	}
	<-idle
}
