package executor

import (
	"errors"
	"fmt"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// TestJudge_R092 has the rules of fates in their order, and where two of them speak of one case, which comes first.
func TestJudge_R092(t *testing.T) {
	exit := func(code int) ending { return ending{exit: code} }
	signal := func(s syscall.Signal) ending { return ending{exit: -1, signal: s} }
	because := func(e ending, why aem.Reason) ending { e.why = why; return e }
	connected := func(e ending) ending { e.connection = true; return e }
	for _, c := range []struct {
		name     string
		handover Handover
		ending   ending
		outcome  aem.Outcome
		reason   aem.Reason
	}{
		// A connection cannot be taken back: a program's exit is its own affair, a signal is not.
		{"socket, exit 0", Socket, exit(0), aem.Done, ""},
		{"socket, exit 1", Socket, exit(1), aem.Done, ""},
		{"socket, exit 64", Socket, exit(64), aem.Done, ""},
		{"socket, exit 75", Socket, exit(75), aem.Done, ""},
		{"socket, exit 127", Socket, exit(127), aem.Done, ""},
		{"socket, signal", Socket, signal(syscall.SIGKILL), aem.Failed, aem.ReasonSignal},
		{"socket, SIGSYS", Socket, signal(syscall.SIGSYS), aem.Failed, aem.ReasonSeccomp},
		{"socket, oom", Socket, because(signal(syscall.SIGKILL), aem.ReasonOOM), aem.Failed, aem.ReasonOOM},
		{"socket, timeout by signal", Socket, because(signal(syscall.SIGTERM), aem.ReasonTimeout), aem.Failed, aem.ReasonTimeout},
		{"socket, timeout that exits", Socket, because(exit(0), aem.ReasonTimeout), aem.Failed, aem.ReasonTimeout},
		{"direct with a connection, exit 0", Direct, connected(exit(0)), aem.Failed, aem.ReasonConnection},
		{"direct with a connection, exit 75", Direct, connected(exit(75)), aem.Failed, aem.ReasonConnection},
		{"direct with a connection, signal", Direct, connected(signal(syscall.SIGSEGV)), aem.Failed, aem.ReasonConnection},
		{"direct with a connection, timeout", Direct, connected(because(signal(syscall.SIGTERM), aem.ReasonTimeout)), aem.Failed, aem.ReasonTimeout},
		{"direct with a connection, oom", Direct, connected(because(signal(syscall.SIGKILL), aem.ReasonOOM)), aem.Failed, aem.ReasonOOM},

		// success comes before every status with a meaning of its own.
		{"exit 0", Stdin, exit(0), aem.Done, ""},
		{"exit in success", Data, exit(3), aem.Done, ""},
		{"exit 65 in success", None, exit(65), aem.Done, ""},
		{"direct answers, it does not exit", Direct, exit(0), aem.Retry, aem.ReasonExit},
		{"a timeout is no success", Stdin, because(exit(0), aem.ReasonTimeout), aem.Retry, aem.ReasonTimeout},

		{"exit 64", Stdin, exit(64), aem.Failed, aem.ReasonExit},
		{"exit 78", Stdin, exit(78), aem.Failed, aem.ReasonExit},
		{"exit 100", Direct, exit(100), aem.Failed, aem.ReasonExit},
		{"exit 64 for want of processes", Stdin, because(exit(64), aem.ReasonPIDs), aem.Failed, aem.ReasonPIDs},
		{"exit 64 after a timeout", Stdin, because(exit(64), aem.ReasonTimeout), aem.Retry, aem.ReasonTimeout},

		{"exit 126", Stdin, exit(126), aem.Returned, aem.ReasonSpawn},
		{"exit 127", None, exit(127), aem.Returned, aem.ReasonSpawn},
		{"direct, exit 127", Direct, because(exit(127), aem.ReasonHello), aem.Returned, aem.ReasonSpawn},

		{"exit 75", Stdin, exit(75), aem.Retry, aem.ReasonExit},
		{"exit 111", None, exit(111), aem.Retry, aem.ReasonExit},

		{"SIGSYS", Stdin, signal(syscall.SIGSYS), aem.Failed, aem.ReasonSeccomp},
		{"direct, SIGSYS", Direct, signal(syscall.SIGSYS), aem.Failed, aem.ReasonSeccomp},

		{"exit 1", Stdin, exit(1), aem.Retry, aem.ReasonExit},
		{"exit 125", Stdin, exit(125), aem.Retry, aem.ReasonExit},
		{"signal", Data, signal(syscall.SIGKILL), aem.Retry, aem.ReasonSignal},
		{"oom", Data, because(signal(syscall.SIGKILL), aem.ReasonOOM), aem.Retry, aem.ReasonOOM},
		{"timeout", Data, because(signal(syscall.SIGTERM), aem.ReasonTimeout), aem.Retry, aem.ReasonTimeout},
		{"no hello", Direct, because(exit(1), aem.ReasonHello), aem.Retry, aem.ReasonHello},
		{"a lie on the channel", Direct, because(signal(syscall.SIGKILL), aem.ReasonChannel), aem.Retry, aem.ReasonChannel},
	} {
		s := Spec{Handover: c.handover, Success: []int{0, 3, 65}}
		c.ending.detail, c.ending.syscall = "words", "ptrace"
		got := s.judge(c.ending)
		if got.Outcome != c.outcome || got.Reason != c.reason || got.Exit != c.ending.exit {
			t.Errorf("%s: %v %q exit=%d, want %v %q", c.name, got.Outcome, got.Reason, got.Exit, c.outcome, c.reason)
		}
		if named := c.ending.signal != 0; (got.Signal != "") != named {
			t.Errorf("%s: signal %q", c.name, got.Signal)
		}
		if denied := c.reason == aem.ReasonSeccomp; (got.Syscall == "ptrace") != denied {
			t.Errorf("%s: system call %q", c.name, got.Syscall)
		}
	}
}

// TestJudgeAnySuccess: success = "any" makes every exit done, and no signal.
func TestJudgeAnySuccess(t *testing.T) {
	s := Spec{Handover: Stdin, AnySuccess: true}
	for code := range 256 {
		if got := s.judge(ending{exit: code}); got.Outcome != aem.Done || got.Exit != code || got.Reason != "" {
			t.Errorf("exit %d: %v %q", code, got.Outcome, got.Reason)
		}
	}
	if got := s.judge(ending{exit: -1, signal: syscall.SIGTERM}); got.Outcome != aem.Retry || got.Signal != "TERM" {
		t.Errorf("a signal: %v %s", got.Outcome, got.Signal)
	}
}

func TestAnswerOf(t *testing.T) {
	cause := errors.New("not yet")
	for _, c := range []struct {
		err  error
		want aem.Completion
	}{
		{nil, aem.Completion{Outcome: aem.Done, Exit: -1}},
		{cause, aem.Completion{Outcome: aem.Retry, Reason: aem.ReasonHandler, Exit: -1, Err: "not yet"}},
		{aem.Fail(cause), aem.Completion{Outcome: aem.Failed, Reason: aem.ReasonHandler, Exit: -1, Err: "not yet"}},
		{fmt.Errorf("so: %w", aem.After(time.Second, cause)), aem.Completion{
			Outcome: aem.Retry, Reason: aem.ReasonHandler, Exit: -1, Delay: time.Second, Err: "so: not yet"}},
	} {
		if got := answerOf(c.err, new(aem.Answer)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		ending ending
		stderr string
		want   string
	}{
		{ending{exit: 3}, "", "exit=3"},
		{ending{exit: 127}, "sh: no such file\n", `exit=127 stderr="sh: no such file\n"`},
		{ending{exit: -1, signal: syscall.SIGKILL, why: aem.ReasonOOM}, "", "signal=KILL reason=oom"},
		{ending{exit: 1, why: aem.ReasonHello, detail: "no hello"}, "", "exit=1 reason=hello: no hello"},
	} {
		if got := describe(c.ending, c.stderr); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
