// Command init is PID 1 of a guest: it makes the file systems that programs expect, follows the guest's plan, tells on
// the console how it went, and ends the guest. In a guest of systemd it is a service that does all but the first.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/test/vm/guest"
)

func main() {
	failed, err := run()
	if err != nil {
		fmt.Println("VM: init:", err)
		failed++
	}
	fmt.Printf("\n%s%d\n", guest.Exit, failed)
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART) //nolint:errcheck // the emulator ends; a restart comes before its own shutdown is ready
}

// run follows the plan, and is how many steps failed.
func run() (failed int, err error) {
	if os.Getpid() == 1 { // else a service of systemd
		if err := prepare(); err != nil {
			return 0, err
		}
	}
	plan, err := guest.ReadPlan()
	if err != nil {
		return 0, err
	}
	for _, file := range plan.Modules {
		if err := load(file); err != nil {
			return 0, fmt.Errorf("load %s: %w", file, err)
		}
	}
	up, _ := os.ReadFile("/proc/uptime")
	fmt.Printf("VM: up after %s s\n", strings.Fields(string(up))[0])
	for _, s := range plan.Steps {
		began := time.Now()
		fmt.Printf("VM: run %s\n", s.Name)
		result := "ok"
		if err := follow(s); err != nil {
			result = "FAIL " + err.Error()
			failed++
		}
		fmt.Printf("\nVM: %s %s, %.1f s\n", s.Name, result, time.Since(began).Seconds())
	}
	return failed, nil
}

// follow runs one step.
func follow(s guest.Step) error {
	for file, value := range s.Sysctl {
		if err := os.WriteFile("/proc/sys/"+file, []byte(value), 0); err != nil {
			return err
		}
	}
	id := uint32(s.UID)
	pid, err := syscall.ForkExec(s.Argv[0], s.Argv, &syscall.ProcAttr{
		Dir: s.Dir, Env: s.Env, Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: id, Gid: id}},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Argv[0], err)
	}
	kill := time.AfterFunc(s.Timeout, func() { syscall.Kill(pid, syscall.SIGKILL) }) //nolint:errcheck // it may have ended
	defer kill.Stop()
	return reap(pid)
}

// reap waits for a process, as PID 1 does also for those of others that end meanwhile.
func reap(pid int) error {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR) || err == nil && ended != pid:
			continue
		case err != nil:
			return err
		case status.Signaled():
			return fmt.Errorf("%v", status.Signal())
		case status.ExitStatus() != 0:
			return fmt.Errorf("exit status %d", status.ExitStatus())
		}
		return nil
	}
}
