package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Those who see only the end of a long output, as of CI, learn there why a guest failed.
func TestReasonsStandAtTheEnd(t *testing.T) {
	t.Chdir(t.TempDir())
	c, err := newConsole("new", true)
	if err != nil {
		t.Fatal(err)
	}
	console := "VM: run limits\r\n=== RUN   TestFine\n    fine_test.go:7: nothing of note\n--- PASS: TestFine (0.00s)\n" +
		"=== RUN   TestLeaf\n    leaf_test.go:12: the leaf holds 3\n--- FAIL: TestLeaf (0.20s)\n" +
		"=== RUN   TestSilent\n--- FAIL: TestSilent (0.10s)\nVM: limits FAIL exit status 1, 2.0 s\n"
	if _, err := c.Write([]byte(console)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("1 steps failed")
	err = c.end(broken)
	want := "1 steps failed:\n\tleaf_test.go:12: the leaf holds 3\n\t--- FAIL: TestLeaf (0.20s)\n\t" +
		"--- FAIL: TestSilent (0.10s)\n\tVM: limits FAIL exit status 1, 2.0 s"
	if !errors.Is(err, broken) || err.Error() != want {
		t.Errorf("the run failed with %q, want %q", err, want)
	}
	if whole, err := os.ReadFile("bin/vm-new.log"); err != nil || string(whole) != strings.ReplaceAll(console, "\r", "") {
		t.Errorf("the log holds %q (%v)", whole, err)
	}
}
