package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aem-exec/aem-exec/internal/audit"
)

// TestScripts runs testdata/script: one script for each verb, and one for each bug that a verb had.
func TestScripts(t *testing.T) {
	bin := filepath.Dir(program(t, "aem-exec"))
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("AEM_RUNTIME_DIR", e.WorkDir+"/run")
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("TZ", "UTC")
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "eventually": eventually, "normal": normal, "shop": shop, "signal": signal,
		},
	})
}

// condition is [audit]: records of system calls can be read here. Where nothing may be skipped it has to be so.
func condition(name string) (bool, error) {
	if name != "audit" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	r, err := audit.Open()
	if err == nil {
		return true, r.Close()
	}
	if os.Getenv("AEM_TEST_NOSKIP") == "1" {
		return false, err
	}
	return false, nil
}

// shop makes the script's aem.toml from testdata/shop.toml.
func shop(ts *testscript.TestScript, _ bool, _ []string) {
	text, err := os.ReadFile("testdata/shop.toml")
	ts.Check(err)
	text = bytes.ReplaceAll(text, []byte("$WORK"), []byte(ts.Getenv("WORK")))
	ts.Check(os.WriteFile(ts.MkAbs("aem.toml"), text, 0o644))
}

// status runs a program that is to end with an exit status: status N PROGRAM ARGUMENT...
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARGUMENT...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, exit := 0, new(exec.ExitError)
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// signal sends a signal to the script's supervisor, the first program it has in the background: signal TERM|INT|HUP.
func signal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}
	running := ts.BackgroundCmds()
	if neg || len(args) != 1 || signals[args[0]] == nil || len(running) == 0 {
		ts.Fatalf("usage: signal TERM|INT|HUP, with a program in the background")
	}
	ts.Check(running[0].Process.Signal(signals[args[0]]))
}

// eventually runs a program again and again until it succeeds: eventually PROGRAM ARGUMENT...
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually PROGRAM ARGUMENT...")
	}
	for deadline := time.Now().Add(patience); ts.Exec(args[0], args[1:]...) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("never")
		}
	}
}

// changing is what differs from run to run, with the word that stands for it.
var changing = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b\d{19}\b`), "ID"},
	{regexp.MustCompile(`after=\S+`), "after=TIME"},
	{regexp.MustCompile(`(?m) +$`), ""},
}

// normal replaces what differs from run to run in the last standard output.
func normal(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stdout")
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.word)
	}
	_, err := ts.Stdout().Write([]byte(text))
	ts.Check(err)
}
