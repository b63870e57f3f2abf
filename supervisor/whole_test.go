package supervisor

import (
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/filewatch"
	"github.com/aem-exec/aem-exec/source"
)

// TestPlaceThatCannotBeWatchedIsRefused asks for a file system that has no files of its own, at the start and in a reload.
func TestPlaceThatCannotBeWatchedIsRefused_R021(t *testing.T) {
	aemtest.Require(t, aemtest.Root, aemtest.Feature{Name: "fanotify", Probe: filewatch.ProbeWhole})
	log := builtin("log", "log", nil)
	a := testApp("a", []executor.Spec{log}, event("t", source.Topic{Name: "a/t"}, "log"))
	r := startRun(t, nil, a)
	a.Events = append(a.Events, event("whole", source.File{Path: "/proc", On: source.FileOn, Whole: filewatch.Filesystem}, "log"))
	const want = "app.a.event.whole: watch the file system of /proc"
	if found := CheckHost(Options{Apps: []App{a}}); len(found) != 1 || !strings.HasPrefix(found[0].Error(), want) {
		t.Errorf("%v, want %q", found, want)
	}
	if _, err := r.reload(a); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
