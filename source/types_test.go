package source

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
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

// TestKernelsHaveWhatTheTableSays_R212: a kernel of the version that the table names, or a later one, has what the type
// stands on.
func TestKernelsHaveWhatTheTableSays_R212(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	for _, typ := range Types() {
		if (typ.Kernel == "") != (typ.Linux == "") {
			t.Errorf("%s: of Linux %q it needs %q", typ.Name, typ.Linux, typ.Kernel)
			continue
		}
		var first aemtest.Linux
		if _, err := fmt.Sscanf(typ.Linux, "%d.%d", &first.Major, &first.Minor); typ.Linux != "" && err != nil {
			t.Errorf("%s: Linux %q: %v", typ.Name, typ.Linux, err)
		}
		if err := typ.Check(); err != nil && first.Runs() {
			t.Errorf("%s: Linux %s does not do: %v", typ.Name, typ.Linux, err)
		}
	}
}
