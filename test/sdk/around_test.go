package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/executor"
	gohandler "github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// aroundRole makes this test binary the handler in Go that testdata/around.c is in C.
const aroundRole = "AEM_TEST_AROUND"

func around() {
	step := func(what string) gohandler.Func {
		return func(_ context.Context, e *gohandler.Event) error { return goStep(what, e) }
	}
	gohandler.Run(step("run"), gohandler.Around(step("construct"), step("destruct")))
	os.Exit(0)
}

func goStep(what string, e *gohandler.Event) error {
	line := strings.TrimSpace(fmt.Sprintf("%s %d %s", what, e.Attempt, e.Interrupted))
	log, err := os.OpenFile(os.Args[1], os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		fmt.Fprintln(log, line)
		err = log.Close()
	}
	plan := string(e.Data)
	if plan == "" && len(os.Args) > 2 {
		plan = os.Args[2]
	}
	for action := range strings.SplitSeq(plan, ",") {
		if after, ok := strings.CutPrefix(action, line+"="); ok {
			switch after {
			case "k":
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			case "h":
				select {}
			case "r":
				return errors.New(what + " said so")
			case "f":
				return gohandler.Fail(errors.New(what + " said so"))
			}
		}
	}
	return err
}

// arounds are the same handler in each language, and each life in some of them.
var arounds = []struct {
	language
	source string
	lives  []executor.Life
}{
	{c, "testdata/around.c", []executor.Life{executor.Cold, executor.Capsule, executor.Resident, executor.Zygote}},
	{python, "testdata/around.py", []executor.Life{executor.Resident, executor.Zygote}},
	{language{name: "go"}, "", []executor.Life{executor.Cold, executor.Resident}},
}

// eachAround runs a test with the handler of each language in its lives. Told is what it wrote down since it was asked the
// last time.
func eachAround(t *testing.T, plan string, test func(t *testing.T, h executor.Spec, told func() string)) {
	for _, l := range arounds {
		for _, life := range l.lives {
			t.Run(l.name+"/"+string(life), func(t *testing.T) {
				aemtest.Require(t, l.needs...)
				file := filepath.Join(t.TempDir(), "told")
				check(t, os.WriteFile(file, nil, 0o600))
				command := []string{os.Args[0]}
				if l.source != "" {
					command = l.command(t, l.source)
				}
				h := handler(t, life, append(command, file, plan))
				h.Retries = 1
				if l.source == "" {
					h.Env[aroundRole] = "1"
				}
				read := 0
				test(t, h, func() string {
					text, err := os.ReadFile(file)
					check(t, err)
					text, read = text[read:], len(text)
					return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ", ")
				})
			})
		}
	}
}

// TestDestructorRunsAfterEachAttempt_R088 has a handler's process killed at each place of an attempt: what its constructor
// took is given back by another process before the event is tried again, and before it has its fate.
func TestDestructorRunsAfterEachAttempt_R088(t *testing.T) {
	const second = ", construct 2, run 2, destruct 2"
	eachAround(t, "", func(t *testing.T, h executor.Spec, told func() string) {
		client := run(t, source.Topic{Name: "a/e"}, h)
		for _, test := range []struct{ plan, told, fate string }{
			{"none", "construct 1, run 1, destruct 1", "done "},
			{"run 1=r", "construct 1, run 1, destruct 1" + second, "done "},
			{"construct 1=f", "construct 1, destruct 1", "failed handler"},
			{"run 1=f,destruct 1=r", "construct 1, run 1, destruct 1", "failed handler"},
			{"destruct 1=f", "construct 1, run 1, destruct 1", "failed handler"},
			{"construct 1=k", "construct 1, destruct 1 signal" + second, "done "},
			{"run 1=k", "construct 1, run 1, destruct 1 signal" + second, "done "},
			{"destruct 1=k", "construct 1, run 1, destruct 1, destruct 1 signal" + second, "done "},
			{"run 1=k,run 2=k", "construct 1, run 1, destruct 1 signal, construct 2, run 2, destruct 2 signal", "failed signal"},
			{"run 1=k,destruct 1 signal=k", "construct 1, run 1, destruct 1 signal" + second, "done "},
			{"run 1=k,destruct 1 signal=f,run 2=r", "construct 1, run 1, destruct 1 signal" + second, "failed handler"},
		} {
			fate := client.emit([]byte(test.plan))
			if got := told(); got != test.told || fmt.Sprintf("%s %s", fate.Outcome, fate.Reason) != test.fate {
				t.Errorf("%s: %+v and %q, want %s and %q", test.plan, fate, got, test.fate, test.told)
			}
		}
		if letter := client.lastLetter(); letter.Attempts != 2 || !strings.Contains(letter.Failure, "run said so") {
			t.Errorf("letter %+v", letter)
		}
		if n := strings.Count(client.log.String(), "destructor failed"); n != 2 || !strings.Contains(client.log.String(), "destruct said so") {
			t.Errorf("%d failures of destructors are in the log", n)
		}
		if books := client.books(); !books.Balanced() || books.Running+books.Waiting > 0 {
			t.Errorf("books %+v", books)
		}
	})
}

// TestDestructorAfterTimeout_R088 has an attempt ended for its time.
func TestDestructorAfterTimeout_R088(t *testing.T) {
	eachAround(t, "", func(t *testing.T, h executor.Spec, told func() string) {
		h.Timeout, h.KillAfter, h.Retries = time.Second, 100*time.Millisecond, 0
		client := run(t, source.Topic{Name: "a/e"}, h)
		fate := client.emit([]byte("run 1=h"))
		if got := told(); got != "construct 1, run 1, destruct 1 timeout" || fate.Outcome != "failed" || fate.Reason != "timeout" {
			t.Errorf("%+v and %q", fate, got)
		}
	})
}

// TestDestructorOfAConnection_R088: the event is not tried again, and its destructor has no connection.
func TestDestructorOfAConnection_R088(t *testing.T) {
	eachAround(t, "run 1=k", func(t *testing.T, h executor.Spec, told func() string) {
		addr := freeAddress(t)
		client := run(t, source.Accept{Listen: []source.Address{addr}}, h)
		if err := echo(addr.IP.String(), "hello"); err == nil {
			t.Error("the connection lives")
		}
		for deadline := time.Now().Add(patience); client.books().Failed != 1; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("books %+v, want one failed", client.books())
			}
		}
		if got := told(); got != "construct 1, run 1, destruct 1 connection" {
			t.Errorf("told %q", got)
		}
		if letter := client.lastLetter(); letter.Attempts != 1 || !strings.Contains(letter.Failure, "reason=connection") {
			t.Errorf("letter %+v", letter)
		}
	})
}

// TestDestructorFromThePage_R088 has the handler that was written from docs/abi.md alone end in the middle of an event.
func TestDestructorFromThePage_R088(t *testing.T) {
	for _, life := range []executor.Life{executor.Cold, executor.Resident, executor.Zygote} {
		t.Run(string(life), func(t *testing.T) {
			aemtest.Require(t, perl.needs...)
			h := handler(t, life, perl.command(t, "testdata/handler.pl"))
			h.Retries = 1
			client := run(t, source.Topic{Name: "a/e"}, h)
			client.lose("die", "exit")
			for _, want := range []string{"destruct die 1 exit", "destruct die 2 exit"} {
				for deadline := time.Now().Add(patience); strings.Count(client.log.String(), `msg="`+want) != 1; time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("the log does not have %q once", want)
					}
				}
			}
		})
	}
}
