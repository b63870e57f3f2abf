// Command vm runs tests under other kernels than the host's: `go run ./test/vm [GUEST...]`, or `make test-vm`. It builds the
// tests here, boots each guest in an emulator, and fails as they do. Nothing is installed, and no root is needed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/test/vm/guest"
)

// bootLimit ends a guest that hangs. The steps of its plan have limits of their own below it.
const bootLimit = 30 * time.Minute

// options are what the command line says.
type options struct {
	guests  []string // empty: all
	steps   *regexp.Regexp
	tests   string // empty: all
	verbose bool
}

func main() {
	o := options{steps: regexp.MustCompile("")}
	flag.BoolVar(&o.verbose, "v", false, "show the whole console")
	flag.Func("steps", "run only the steps whose names match this `pattern`", func(text string) (err error) {
		o.steps, err = regexp.Compile(text)
		return err
	})
	flag.StringVar(&o.tests, "tests", "", "run only the tests whose names match this `pattern`")
	flag.Parse()
	o.guests = flag.Args()
	if err := missing(); err != nil {
		fmt.Println("vm: SKIP:", err)
		if os.Getenv("VM_REQUIRED") == "1" {
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := bootAll(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// missing is what this host lacks to have guests.
func missing() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("this host is %s: guests are amd64, and their kernels and programs are not built elsewhere", runtime.GOARCH)
	}
	for _, program := range []struct{ name, pkg string }{
		{"apt-get", "apt"}, {"dpkg-deb", "dpkg"}, {"cc", "gcc"},
	} {
		if _, err := exec.LookPath(program.name); err != nil {
			return fmt.Errorf("%w (apt-get install --no-install-recommends %s)", err, program.pkg)
		}
	}
	return nil
}

// bootAll boots the guests one after the other, whatever becomes of each.
func bootAll(ctx context.Context, o options) error {
	work, err := os.MkdirTemp("", "aem-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // what stays is in the folder for temporary files
	built, err := build(work)
	if err != nil {
		return err
	}
	var failed []error // told when all have ended, behind what the others say
	for _, r := range runs {
		if ctx.Err() != nil || len(o.guests) > 0 && !slices.Contains(o.guests, r.name) {
			continue
		}
		err := r.boot(ctx, built, o)
		if errors.Is(err, guest.ErrNoResult) { // a kernel that dies in an emulator says nothing of the tests
			fmt.Printf("vm: %s: %v, once more\n", r.name, err)
			err = r.boot(ctx, built, o)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", r.name, err))
		}
	}
	return errors.Join(append(failed, ctx.Err())...)
}
