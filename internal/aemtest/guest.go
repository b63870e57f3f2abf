package aemtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// inGuest says that the tests run in a guest of test/vm: its kernel has everything that tests ask of a kernel, and
// programs are there that elsewhere the tests build themselves.
var inGuest = os.Getenv("AEM_IN_VM") == "1"

// GuestPrograms is the folder in a guest of the programs that were built for it.
const GuestPrograms = "/programs"

// GoPrograms builds packages into dir, as `go build` does with these arguments, and says where the programs are.
func GoPrograms(dir string, args ...string) (string, error) {
	if inGuest {
		return GuestPrograms, nil
	}
	args = append([]string{"build", "-o", dir + "/"}, args...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %v: %v\n%s", args, err, out)
	}
	return dir, nil
}

// CProgram compiles a program of one source into dir, and is its path.
func CProgram(dir, source string, compiler ...string) (string, error) {
	name := filepath.Base(source) + ".out"
	if inGuest {
		return filepath.Join(GuestPrograms, name), nil
	}
	program := filepath.Join(dir, name)
	args := append(compiler[1:], "-o", program, source)
	if out, err := exec.Command(compiler[0], args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s %v: %v\n%s", compiler[0], args, err, out)
	}
	return program, nil
}

// slowness is how many times longer things take here than on a processor that is not emulated.
var slowness = func() time.Duration {
	n, err := strconv.Atoi(os.Getenv("AEM_SLOW"))
	if err != nil {
		return 1
	}
	return time.Duration(n)
}()

// Slow is the bound of what takes no longer than d on a processor that is not emulated.
func Slow(d time.Duration) time.Duration { return d * slowness }

// Few is how often to do what is worth doing n times, fewer where it takes longer.
func Few[N int | uint64](n N) N { return max(n/N(slowness), 1) }
