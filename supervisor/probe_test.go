package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	hd "github.com/aem-exec/aem-exec/handler"
)

// probe is a handler that does what the lines of its event say, a word and an argument each, and answers with how each
// ended: what it learned, "ok", or the error.
func probe(_ context.Context, e *hd.Event) error {
	var report bytes.Buffer
	for line := range strings.Lines(string(e.Data)) {
		word, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		said, err := probes[word](arg)
		var errno syscall.Errno
		switch {
		case errors.As(err, &errno):
			said = errno.Error()
		case err != nil:
			said = err.Error()
		case said == "":
			said = "ok"
		}
		fmt.Fprintln(&report, said)
	}
	return e.Reply(report.Bytes())
}

var probes = map[string]func(arg string) (string, error){
	"read": func(path string) (string, error) {
		_, err := os.ReadFile(path)
		return "", err
	},
	"list": func(path string) (string, error) {
		_, err := os.ReadDir(path)
		return "", err
	},
	"make": func(path string) (string, error) { return "", os.WriteFile(path, nil, 0o600) },
	"cut":  func(path string) (string, error) { return "", os.Truncate(path, 0) },
	"move": func(paths string) (string, error) {
		from, to, _ := strings.Cut(paths, " ")
		return "", os.Rename(from, to)
	},
	"set": func(arg string) (string, error) { // in a file that is there
		path, text, _ := strings.Cut(arg, " ")
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		defer f.Close()
		_, err = f.WriteString(text)
		return "", err
	},
	"run": func(path string) (string, error) { return "", exec.Command(path).Run() },
	"status": func(keys string) (string, error) {
		text, err := os.ReadFile("/proc/self/status")
		var found []string
		for line := range strings.Lines(string(text)) {
			if key, value, _ := strings.Cut(line, ":"); strings.Contains(" "+keys+" ", " "+key+" ") {
				found = append(found, strings.Join(strings.Fields(value), " "))
			}
		}
		return strings.Join(found, " "), err
	},
	"see": func(pid string) (string, error) {
		text, err := os.ReadFile("/proc/" + pid + "/cmdline")
		return strings.ReplaceAll(string(text), "\x00", " "), err
	},
	"kill":   withPID(func(pid int) error { return syscall.Kill(pid, 0) }),
	"ptrace": withPID(syscall.PtraceAttach),
	"peek": withPID(func(pid int) error {
		_, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
		return err
	}),
	"child": func(string) (string, error) { // a process of its own
		cmd := exec.Command("/bin/sleep", "60")
		if err := cmd.Start(); err != nil {
			return "", err
		}
		defer cmd.Wait() //nolint:errcheck // it was killed
		return "", cmd.Process.Kill()
	},
	"remount": func(path string) (string, error) {
		return "", syscall.Mount("", path, "", syscall.MS_REMOUNT|syscall.MS_BIND, "")
	},
	"chroot":  func(path string) (string, error) { return "", syscall.Chroot(path) },
	"uncover": func(path string) (string, error) { return "", syscall.Unmount(path, syscall.MNT_DETACH) },
	"nest":    nest,
}

func withPID(f func(pid int) error) func(string) (string, error) {
	return func(arg string) (string, error) {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			return "", err
		}
		return "", f(pid)
	}
}

// nest makes a user namespace, as every user may, mounts cgroups in it, and writes a limit there.
func nest(arg string) (string, error) {
	kind, file, _ := strings.Cut(arg, " ")
	const newCgroup, sysAdmin = 0x02000000, 21 // CLONE_NEWCGROUP, and a capability that is to be kept over the exec
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"AEM_TEST_ROLE=nested", "KIND=" + kind, "FILE=" + file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | newCgroup, AmbientCaps: []uintptr{sysAdmin}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %s", err, bytes.TrimSpace(out))
	}
	return string(bytes.TrimSpace(out)), nil
}

// nested is the process in that namespace.
func nested() {
	kind, options, _ := strings.Cut(os.Getenv("KIND"), ":")
	dir, err := os.MkdirTemp("", "aem-nested-")
	if err == nil {
		defer os.Remove(dir)
		err = syscall.Mount("cgroup", dir, kind, 0, options)
	}
	if err == nil {
		file, text, _ := strings.Cut(os.Getenv("FILE"), "=")
		err = os.WriteFile(filepath.Join(dir, file), []byte(text), 0)
	}
	if err != nil {
		fmt.Println(err)
	}
}
