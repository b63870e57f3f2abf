package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Machine is a guest that can be booted: files, and a kernel that finds PID 1 in them.
type Machine struct {
	Emulator  *Emulator
	Image     string // a bzImage
	Initrd    string // a packed Tree
	Init      string // the path of PID 1, as /init
	Disk      string // a file that is the guest's first disk
	Append    string // more of the kernel's command line
	MemoryMiB int
}

// Exit begins the line by which PID 1 of a guest tells how it went: 0 follows when all is well.
const Exit = "VM-EXIT "

// cpus is what a guest has: some tests need two processors to go wrong.
const cpus = "2"

// Boot runs the guest until its end and copies its console. It fails unless the guest said that all went well: one that
// panics ends at once, and one that hangs with the context.
func (m Machine) Boot(ctx context.Context, console io.Writer) error {
	argv, env := m.Emulator.command()
	argv = append(argv,
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", cpus, "-m", fmt.Sprint(m.MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-drive", "file="+m.Disk+",if=virtio,format=raw,cache=unsafe",
		"-kernel", m.Image, "-initrd", m.Initrd,
		"-append", "console=ttyS0 quiet panic=-1 oops=panic psi=1 mitigations=off rdinit="+m.Init+" "+m.Append)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	status, read := lastExit(io.TeeReader(out, console))
	if err := errors.Join(read, cmd.Wait()); err != nil {
		return fmt.Errorf("run the guest: %w", errors.Join(err, ctx.Err()))
	}
	switch status {
	case "0":
		return nil
	case "":
		return ErrNoResult
	}
	return fmt.Errorf("%s steps failed in the guest", status)
}

// ErrNoResult says that the guest's kernel died, or never began.
var ErrNoResult = errors.New("the guest ended without a result")

// lastExit reads the console to its end, and is what followed Exit in the last line that began so.
func lastExit(console io.Reader) (status string, err error) {
	lines := bufio.NewReader(console)
	for {
		line, err := lines.ReadString('\n')
		if rest, ok := strings.CutPrefix(line, Exit); ok {
			status = strings.TrimSpace(rest)
		}
		if errors.Is(err, io.EOF) {
			return status, nil
		}
		if err != nil {
			return status, err
		}
	}
}
