package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestMain is, in a process that a test started for it, main itself.
func TestMain(m *testing.M) {
	if os.Getenv("AEM_TEST_MAIN") == "1" {
		main()
	}
	aemtest.NoLeaks(m)
}

func TestExitStatus(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want int
	}{
		{"success", nil, 0},
		{"anything", errors.New("no"), 1},
		{"a system call's EINVAL is no usage error", fmt.Errorf("bind: %w", syscall.EINVAL), 1},
		{"usage", usageError{errors.New("no")}, 2},
		{"wrapped usage", fmt.Errorf("verb: %w", usageError{os.ErrNotExist}), 2},
		{"printed already", told(111), 111},
		{"no supervisor", fmt.Errorf("x: %w", control.ErrNoSupervisor), 111},
		{"timed out", fmt.Errorf("x: %w", os.ErrDeadlineExceeded), 111},
		{"refused: no such job", control.Errorf(syscall.ENOENT, "no"), 1},
		{"refused: not yours", control.Errorf(syscall.EPERM, "no"), 1},
		{"refused: bad request", control.Errorf(syscall.EINVAL, "no"), 2},
		{"refused: not yet", control.Errorf(syscall.ENOSYS, "no"), 2},
		{"refused: at a limit", control.Errorf(syscall.EAGAIN, "no"), 111},
	} {
		if got := exitStatus(row.err); got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
}

func TestWorstFate(t *testing.T) {
	for _, row := range []struct {
		fates []string
		want  int
	}{
		{nil, 0},
		{[]string{"done", "done"}, 0},
		{[]string{"done", "failed"}, 1},
		{[]string{"shed", "done"}, 111},
		{[]string{"expired"}, 111},
		{[]string{"expired", "failed", "done"}, 1},
		{[]string{"unheard-of"}, 1},
	} {
		var all []control.Fate
		for _, outcome := range row.fates {
			all = append(all, control.Fate{Outcome: outcome})
		}
		if got := worst(all); got != row.want {
			t.Errorf("%v: %d, want %d", row.fates, got, row.want)
		}
	}
}
