package supervisor

import (
	"os"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/executor"
)

// TestDirectCopyUnderYama holds what becomes of each copy under the kernel's ptrace_scope (man 2 ptrace). It tests the
// one that it finds; guests of test/vm have them all, as root and as another user.
func TestDirectCopyUnderYama(t *testing.T) {
	const file = "/proc/sys/kernel/yama/ptrace_scope"
	scope := "0" // without Yama
	if text, err := os.ReadFile(file); err == nil {
		scope = strings.TrimSpace(string(text))
	}
	root := os.Geteuid() == 0
	may, known := map[string]bool{"0": true, "1": true, "2": root, "3": false}[scope]
	if !known {
		t.Fatalf("%s is %q", file, scope)
	}
	for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident} {
		for _, way := range []executor.Copy{executor.DirectCopy, executor.SharedCopy} {
			t.Run(string(life)+" "+string(way), func(t *testing.T) {
				h := role(t, "upper")
				h.Life, h.Copy = life, way
				if way == executor.DirectCopy && !may {
					s, err := New(Options{Apps: []App{topicApp(h)}})
					if err == nil || !strings.Contains(err.Error(), "app.a.handler.h.handover: handover \"direct\" needs to write into handlers' memory, which this host refuses") {
						t.Errorf("ptrace_scope %s: supervisor %t, %v", scope, s != nil, err)
					}
					return
				}
				if fate := startRun(t, nil, topicApp(h)).emit("a/t", "text"); fate.Outcome != "done" || string(fate.Reply) != "TEXT" {
					t.Errorf("%s %s, reply %q", fate.Outcome, fate.Reason, fate.Reply)
				}
			})
		}
	}
}
