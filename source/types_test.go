package source

import (
	"errors"
	"strings"
	"testing"
)

func TestOpenRefusesWhatTheKernelLacks_R021(t *testing.T) {
	lacks := Type{Name: "x", Probe: func() error { return errors.New("no such facility") }, Open: func(Env) Source {
		t.Error("it was opened")
		return nil
	}}
	if _, err := lacks.open(Env{}); err == nil || !strings.Contains(err.Error(), "no such facility") {
		t.Errorf("opened with %v", err)
	}
	if _, err := Open("socket.acept", Env{}); err == nil {
		t.Error("a type was opened that there is not")
	}
}
