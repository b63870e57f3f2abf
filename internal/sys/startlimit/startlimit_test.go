// The tests are a package of their own: what they import must not be imported by the package they test.
package startlimit_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys/startlimit"
)

func TestNofileIsTheLimitBeforeTheRuntimeRaisedIt(t *testing.T) {
	if os.Getenv("AEM_TEST_PRINT_NOFILE") != "" {
		var now syscall.Rlimit
		syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now)
		soft, hard := startlimit.Nofile()
		fmt.Printf("start %d of %d, raised %t\n", soft, hard, now.Cur > soft)
		os.Exit(0)
	}
	cmd := exec.Command("/bin/sh", "-c", `ulimit -Sn 100; ulimit -Hn 200; exec "$0" -test.run=`+t.Name(), os.Args[0])
	cmd.Env = append(os.Environ(), "AEM_TEST_PRINT_NOFILE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run self: %v\n%s", err, out)
	}
	if want := "start 100 of 200, raised true"; strings.TrimSpace(string(out)) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
