package filewatch

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const actsEnv = "AEM_TEST_ACTS"

// perform has a process of its own do things in the root, and is its number: `write f; chmod f`.
func (d *desk) perform(acts string) (pid int) {
	d.t.Helper()
	if acts == "" {
		return 0
	}
	c := performer(d.root, acts)
	if out, err := c.CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v: %s", acts, err, out)
	}
	return c.Process.Pid
}

func performer(dir, acts string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Dir, c.Env = dir, []string{actsEnv + "=" + acts, "GORACE=atexit_sleep_ms=0"}
	return c
}

// performs is that process.
func performs(acts string) {
	for act := range strings.SplitSeq(acts, "; ") {
		word := strings.Fields(act)
		if err := performers[word[0]](word[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

var performers = map[string]func(on []string) error{
	"write":  func(on []string) error { return os.WriteFile(on[0], []byte("x"), 0o644) },
	"read":   func(on []string) error { _, err := os.ReadFile(on[0]); return err },
	"mkdir":  func(on []string) error { return os.MkdirAll(on[0], 0o755) },
	"move":   func(on []string) error { return os.Rename(on[0], on[1]) },
	"remove": func(on []string) error { return os.RemoveAll(on[0]) },
	"chmod":  func(on []string) error { return os.Chmod(on[0], 0o700) },
	"chown":  func(on []string) error { return os.Chown(on[0], 65534, 65534) },
	"touch":  func(on []string) error { return os.Chtimes(on[0], time.Now(), time.Now()) },
	"several": func(on []string) (err error) {
		n, _ := strconv.Atoi(on[1])
		for i := 0; i < n && err == nil; i++ {
			err = os.WriteFile(fmt.Sprint(on[0], i), []byte("x"), 0o644)
		}
		return err
	},
	"storm": func(on []string) (err error) { // files and directories that come, are renamed and go, as a seed has it
		seed, _ := strconv.Atoi(on[0])
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		file := func() string { return fmt.Sprintf("d%d/f%d", random.IntN(20), random.IntN(10)) }
		for range 10_000 {
			switch random.IntN(5) {
			case 0:
				os.Mkdir(fmt.Sprint("d", random.IntN(20)), 0o755) //nolint:errcheck // of all of these, some can be done
			case 1:
				os.Rename(file(), file()) //nolint:errcheck // as said
			case 2:
				err = os.RemoveAll(fmt.Sprint("d", random.IntN(100)))
			default:
				syscall.Mknod(file(), syscall.S_IFREG|0o644, 0) //nolint:errcheck // as said
			}
		}
		return err
	},
	"watch": func([]string) error { // and say who created what, until there is nothing more to read
		w, err := NewWhole(func(batch []Change) {
			for _, c := range batch {
				fmt.Println(c.Op, filepath.Base(c.Path), "by", c.PID)
			}
		}, func(uint64, error) {})
		if err != nil {
			return err
		}
		defer w.Close()
		here, err := os.Getwd()
		w.Watch(0, Spec{Path: here, On: Create})
		w.Wait()
		fmt.Println("watches")
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // as said
		return err
	},
	"many": func(on []string) (err error) {
		for i := 0; i < manyFiles && err == nil; i++ {
			err = syscall.Mknod(fmt.Sprint(on[0], i), syscall.S_IFREG|0o644, 0)
		}
		return err
	},
}

const manyFiles = 20_000
