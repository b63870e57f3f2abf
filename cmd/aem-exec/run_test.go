package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/supervisor"
)

// systemd is the other end of NOTIFY_SOCKET.
func systemd(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return l
}

// heard is the next thing that systemd is told.
func heard(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 256)
	_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := l.Read(buf)
	if err != nil {
		t.Fatalf("read what systemd is told: %v", err)
	}
	return string(buf[:n])
}

func TestReady(t *testing.T) {
	told := systemd(t)
	var errs bytes.Buffer
	ready := make(chan readiness, 1)
	ready <- readiness{4, 1, "/run/aem/control.sock"}
	words := newSpeaker(&errs)
	(&program{}).announce(t.Context(), ready, words, "")
	words.close()
	if want := "ready: 4 jobs, 1 app, control /run/aem/control.sock\n"; errs.String() != want {
		t.Errorf("said %q, want %q", errs.String(), want)
	}
	if got := heard(t, told); got != "READY=1" {
		t.Errorf("systemd was told %q", got)
	}
}

func TestSignals(t *testing.T) {
	told := systemd(t)
	var errs bytes.Buffer
	words := newSpeaker(&errs)
	ctx, end := context.WithCancel(t.Context())
	signals := make(chan os.Signal)
	reread, stopped, killed, obeyed := 0, 0, make(chan bool), make(chan bool)
	go func() {
		defer close(obeyed)
		(&program{}).obey(ctx, signals, words, func() { reread++ }, func() { stopped++ }, func() { close(killed) })
	}()
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		signals <- s
	}
	<-killed
	end()
	<-obeyed
	words.close()
	if reread != 1 || stopped != 1 {
		t.Errorf("read again %d times, stopped %d times, want once", reread, stopped)
	}
	if got := heard(t, told); got != "STOPPING=1" {
		t.Errorf("systemd was told %q", got)
	}
	want := []string{"terminated: stopping", "hangup: stopping", "interrupt: killing"}
	lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("said %q, want lines that begin with %q", lines, want)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("said %q, want it to begin with %q", lines[i], want[i])
		}
	}
}

// TestWatchdog has a loop that answers, then one that does not: it is fed, then no more.
func TestWatchdog(t *testing.T) {
	told := systemd(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, cancel := context.WithCancel(t.Context())
	asked, ended := 0, make(chan bool)
	go func() {
		defer close(ended)
		(&program{err: &bytes.Buffer{}}).feedWatchdog(ctx, func(ctx context.Context) error {
			asked++
			if asked == 3 {
				cancel()
			}
			if asked >= 2 {
				return errors.New("the loop does not answer")
			}
			return nil
		})
	}()
	if got := heard(t, told); got != "WATCHDOG=1" {
		t.Errorf("systemd was told %q", got)
	}
	<-ended
	if asked != 3 {
		t.Errorf("the loop was asked %d times, want 3", asked)
	}
	_ = told.SetReadDeadline(time.Unix(1, 0))
	if n, err := told.Read(make([]byte, 1)); err == nil {
		t.Errorf("fed %d bytes for a loop that does not answer", n)
	}
}

func TestWatchdogUnasked(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "")
	(&program{err: &bytes.Buffer{}}).feedWatchdog(t.Context(), nil) // returns at once
}

func TestRunRefusesABrokenFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("aem.toml", []byte("[supervisor]\nruntime_dir = \"run\"\ngracious = 1\n\n[app.x]\nstart = 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := command(t, "", "run")
	if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "configuration: aem.toml\naem.toml:3: ") ||
		!strings.HasSuffix(stderr, "\n2 errors\n") {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
	if _, err := os.Stat("run"); err == nil {
		t.Error("runtime_dir was made")
	}
}

// TestRunOutlivesItsTerminal runs the program with nobody left to read its stderr, hangs up on it and stops it.
func TestRunOutlivesItsTerminal(t *testing.T) {
	told := systemd(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "aem.toml"), []byte(goodFile), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	defer stderr.Close()
	c := exec.CommandContext(t.Context(), os.Args[0], "run", "--runtime-dir", dir)
	c.Dir, c.Stderr = dir, stderr
	c.Env = append(os.Environ(), "AEM_TEST_MAIN=1", "STATE_DIRECTORY="+filepath.Join(dir, "state"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if got := heard(t, told); got != "READY=1" {
		t.Errorf("systemd was told %q", got)
	}
	_ = c.Process.Signal(syscall.SIGHUP)
	for _, want := range []string{"RELOADING=1", "READY=1"} {
		if got := heard(t, told); got != want {
			t.Errorf("systemd was told %q, want %q", got, want)
		}
	}
	if status, stdout, errs := command(t, "", "ctl", "stop", "--all", "--runtime-dir", dir); status != 0 || strings.Count(stdout, "stopped") != 2 {
		t.Errorf("ctl: %d, %q, %q", status, stdout, errs)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Errorf("run: %v", err)
	}
	if got := heard(t, told); got != "STOPPING=1" {
		t.Errorf("systemd was told %q", got)
	}
}

func TestHostErrorsHaveTheirPlace(t *testing.T) {
	file, err := config.Parse("aem.toml", []byte(goodFile))
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	p := &program{err: &errs}
	err = p.complainOfHost(file, errors.Join(errors.Join(
		&supervisor.HostError{Path: "app.shop.event.tick", Err: errors.New("no clock")},
		&supervisor.HostError{Path: "app.shop.handler.say.call", Err: errors.New("no voice")}), errors.New("no socket")))
	want := "aem.toml:5: app.shop.event.tick: no clock\naem.toml:4: app.shop.handler.say.call: no voice\nno socket\n3 errors\n"
	if exitStatus(err) != exitFailed || errs.String() != want {
		t.Errorf("%v, %q, want %q", err, errs.String(), want)
	}
	plain := errors.New("no socket")
	if err := p.complainOfHost(file, plain); !errors.Is(err, plain) {
		t.Errorf("%v, want %v itself", err, plain)
	}
}
