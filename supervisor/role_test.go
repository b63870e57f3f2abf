package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/executor"
	hd "github.com/aem-exec/aem-exec/handler"
)

// roles are the handlers, good and bad, that the test binary plays when it is started as one.
var roles = map[string]func(){
	"done":   func() { hd.Run(func(context.Context, *hd.Event) error { return nil }) },
	"hang":   func() { hd.Run(func(context.Context, *hd.Event) error { time.Sleep(time.Hour); return nil }) },
	"fail":   func() { hd.Run(func(context.Context, *hd.Event) error { return hd.Fail(errors.New("no use")) }) },
	"retry":  func() { hd.Run(func(context.Context, *hd.Event) error { return errors.New("not yet") }) },
	"third":  func() { hd.Run(third) },
	"crash":  func() { hd.Run(func(context.Context, *hd.Event) error { panic("crash") }) },
	"probe":  func() { hd.Run(probe) },
	"nested": nested,
	"die": func() {
		hd.Run(func(context.Context, *hd.Event) error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	},
	"slow": func() {
		hd.Run(func(context.Context, *hd.Event) error { time.Sleep(20 * time.Millisecond); return nil })
	},
	"slow ahead": func() {
		hd.Run(func(context.Context, *hd.Event) error { time.Sleep(20 * time.Millisecond); return nil }, hd.InFlight(8))
	},
	"gated": func() {
		hd.Run(func(context.Context, *hd.Event) error {
			for ; ; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(os.Getenv("AEM_TEST_GATE")); err == nil {
					return nil
				}
			}
		})
	},
	"around": func() {
		fmt.Println("it begins")
		hd.Run(func(context.Context, *hd.Event) error {
			_, err := fmt.Println("an event")
			return err
		})
		fmt.Println("it ends")
	},
	"freeze": func() {
		hd.Run(func(context.Context, *hd.Event) error {
			defer time.Sleep(time.Hour) // the signal may come a little later
			return syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		})
	},
	"mute":    func() { time.Sleep(time.Hour) },
	"quit":    func() { fmt.Fprintln(os.Stderr, "no SDK here"); os.Exit(3) },
	"garbage": func() { syscall.Write(3, []byte("garbage")); time.Sleep(time.Hour) },
	"hangup": func() {
		hd.Run(func(context.Context, *hd.Event) error { syscall.Close(3); time.Sleep(time.Hour); return nil })
	},
	"noisy":  func() { hd.Run(noisy) },
	"hog":    func() { hd.Run(hog) },
	"bomb":   func() { hd.Run(bomb) },
	"denied": func() { hd.Run(denied) },
	"sticky": sticky,
	"window": func() {
		hd.Run(func(_ context.Context, e *hd.Event) error {
			_, err := fmt.Printf("%s %d\n", e.Data, e.Attempt)
			return err
		}, hd.InFlight(16))
	},
	"upper": func() {
		hd.Run(func(_ context.Context, e *hd.Event) error { return e.Reply(bytes.ToUpper(e.Data)) })
	},
	"size": func() {
		hd.Run(func(_ context.Context, e *hd.Event) error {
			return e.Reply(fmt.Append(nil, len(e.Data), " ", e.Attempt))
		})
	},
	"accept":  func() { hd.Run(accept) },
	"poison":  func() { hd.Run(poison, hd.InFlight(16)) },
	"place":   func() { hd.Run(landed, hd.InFlight(16), hd.InMemory(scheme())) },
	"nowhere": func() { hd.Run(landed, hd.InMemory(&hd.Memory{Alloc: func(int, int) (int, bool) { return 0, false }})) },
	"dither": func() {
		hd.Run(landed, hd.InMemory(&hd.Memory{Alloc: func(int, int) (int, bool) { time.Sleep(time.Hour); return 0, true }}))
	},
	"fall": func() {
		hd.Run(landed, hd.InMemory(&hd.Memory{Alloc: func(int, int) (int, bool) { panic("no scheme") }}))
	},
	"backwards":  backwards,
	"dead files": serveDeadFiles, "dead pages": deadPages,
	"linger": func() {
		takes(func(r *raw, number uint64) { r.answer(number, 1) })(newRaw(1 << 16))
		time.Sleep(time.Hour)
	},
	"self":  func() { hd.Run(self) },
	"child": func() { newRaw(1 << 16).ready(1) },
	"deaf": func() { // from its first event on
		hd.Run(func(_ context.Context, e *hd.Event) error {
			syscall.Close(3)
			return nil
		})
	},
	"late":      late,
	"scheduled": func() { hd.Run(scheduled) },
	"impostor":  func() { newRaw(1 << 16).greetAs(77777) },
	"aside":     aside,
	"boostless": boostless,
	"zygote":    playZygote,
	"kid":       playKid,
}

// player is the test binary, where every user may execute it.
var player = sync.OnceValues(func() (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "player")
	return file, os.WriteFile(file, text, 0o755)
})

// role is a handler of direct that the test binary plays.
func role(t *testing.T, name string) executor.Spec {
	t.Helper()
	self, err := player()
	if err != nil {
		t.Fatal(err)
	}
	h := handler("h", self)
	h.Env = map[string]string{"AEM_TEST_ROLE": name, "GORACE": "atexit_sleep_ms=0"}
	return h
}

func third(_ context.Context, e *hd.Event) error {
	if e.Attempt < 3 {
		return fmt.Errorf("attempt %d", e.Attempt)
	}
	return nil
}

// accept welcomes one client of the socket that it is given.
func accept(_ context.Context, e *hd.Event) error {
	f, err := e.File()
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.WriteString(c, "welcome")
	return err
}

// poison dies of one event, and says of the others at which attempt they came.
func poison(_ context.Context, e *hd.Event) error {
	if string(e.Data) == "poison" {
		os.Exit(1)
	}
	_, err := fmt.Printf("%s %d\n", e.Data, e.Attempt)
	return err
}

// lateBy is how long a late handler takes to get ready.
const lateBy = time.Second

// late replies when it was started, in nanoseconds.
func late() {
	started := time.Now().UnixNano()
	time.Sleep(lateBy)
	hd.Run(func(_ context.Context, e *hd.Event) error { return e.Reply(fmt.Append(nil, started)) })
}

// aside runs handlers on another thread than its first.
func aside() {
	runtime.LockOSThread()
	if syscall.Gettid() != os.Getpid() { // so is this
		hd.Run(awry)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		hd.Run(awry)
	}()
	<-done
}

// awry is scheduled, and says whether it runs aside.
func awry(ctx context.Context, e *hd.Event) error {
	where := " aside"
	if syscall.Gettid() == os.Getpid() {
		where = " on the first thread"
	}
	return e.Reply([]byte(schedule(0) + where))
}

func noisy(context.Context, *hd.Event) error {
	line := strings.Repeat("x", 100_000) + "\n"
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
		os.Stdout.WriteString(line)
	}
	return nil
}

func hog(context.Context, *hd.Event) error {
	b := make([]byte, 1<<30)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return nil
}

func bomb(context.Context, *hd.Event) error {
	for range 200 {
		c := exec.Command("/bin/sleep", "60")
		if err := c.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	return nil
}

func denied(_ context.Context, e *hd.Event) error {
	_, _, errno := syscall.Syscall(syscall.SYS_PERSONALITY, 0, 0, 0)
	return fmt.Errorf("personality: %w", errno)
}

// backwards takes what is there and answers it, the last first.
func backwards() {
	r := newRaw(1 << 20)
	for r.ready(slots); ; {
		number, _ := r.take()
		numbers := []uint64{number}
		for time.Sleep(time.Millisecond); r.word(rawHead).Load() != r.taken; {
			number, _ = r.take()
			numbers = append(numbers, number)
		}
		for _, number := range slices.Backward(numbers) {
			r.answer(number, 1)
		}
	}
}

// self tells who the handler is and what it may.
func self(_ context.Context, e *hd.Event) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == string(e.Data) {
			return e.Reply([]byte(strings.Join(strings.Fields(value), " ")))
		}
	}
	return hd.Fail(errors.New("no such line"))
}

const stickyVariable = "AEM_TEST_STICKY_UNTIL"

// sticky says hello with an arena whose second page does not come until the file exists that the environment names: a
// userfaultfd holds it, and nobody answers.
func sticky() {
	const size = 256 << 10
	arena := mapped(size, syscall.PROT_READ|syscall.PROT_WRITE)
	arena[0] = 1 // the first page is there: the nonce and the block's header go into it
	const userfaultfdNew, uffdioAPI, uffdioRegister = 0xaa00, 0xc018aa3f, 0xc020aa00
	device, err := os.Open("/dev/userfaultfd") // root's; without a capability the system call gives none
	must(err)
	uffd, _, errno := syscall.Syscall(syscall.SYS_IOCTL, device.Fd(), userfaultfdNew, 0)
	api := [3]uint64{0xaa}
	register := [4]uint64{at(arena) + page, size - page, 1}
	if errno == 0 {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, uffd, uffdioAPI, uintptr(unsafe.Pointer(&api)))
	}
	if errno == 0 {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, uffd, uffdioRegister, uintptr(unsafe.Pointer(&register)))
	}
	if errno != 0 {
		panic(errno)
	}
	// An accomplice keeps the userfaultfd: then the end of this process does not free the writer.
	accomplice := exec.Command("/bin/sh", "-c", `until test -e "$0"; do sleep 0.05; done`, os.Getenv(stickyVariable))
	accomplice.ExtraFiles = []*os.File{os.NewFile(uffd, "uffd")}
	accomplice.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(accomplice.Start())
	accomplice.ExtraFiles[0].Close()
	r := newRaw(page)
	r.arena = arena
	r.ready(1)
	n, _ := r.take()
	r.answer(n, 1)
	time.Sleep(time.Hour)
}

// play plays the role that the environment names, if it names one.
func play() {
	role := os.Getenv("AEM_TEST_ROLE")
	if name, ok := strings.CutPrefix(role, "liar "); ok {
		playLiar(name)
	}
	if role != "" {
		roles[role]()
		os.Exit(0)
	}
}

// shell is a handler that runs a script with /bin/sh.
func shell(script string) executor.Spec {
	h := handler("h", "/bin/sh", "-c", script)
	h.Handover = executor.Data
	return h
}
