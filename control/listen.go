package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The names inside a runtime directory.
const (
	socketName = "control.sock"
	lockName   = "lock"
)

// maxPathBytes is the longest path of a socket: struct sockaddr_un without its final NUL, man 7 unix.
const maxPathBytes = 107

// SocketPath is where the control socket of a runtime directory is.
func SocketPath(runtimeDir string) string { return filepath.Join(runtimeDir, socketName) }

func checkLength(path string) error {
	if len(path) > maxPathBytes {
		return fmt.Errorf("longer than the %d bytes that a socket's path may have", maxPathBytes)
	}
	return nil
}

// Listener is the control socket of the one supervisor of a runtime directory.
type Listener struct {
	path     string
	lock     *os.File // held for as long as the supervisor owns the directory
	socket   *net.UnixListener
	patience time.Duration
	guests   guests
}

// Listen makes the control socket in runtimeDir, which must be there. It refuses when another supervisor owns the
// directory and removes the socket that a killed one has left. mode and group say who may connect; "" keeps the group.
func Listen(runtimeDir string, mode os.FileMode, group string) (*Listener, error) {
	path := SocketPath(runtimeDir)
	if err := checkLength(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	gid, err := lookupGroup(group)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	lock, err := takeLock(filepath.Join(runtimeDir, lockName))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	socket, err := bind(path, mode, gid)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &Listener{path: path, lock: lock, socket: socket, patience: messageTime}, nil
}

// Path is where the socket is.
func (l *Listener) Path() string { return l.path }

// Close removes the socket and gives the directory up. The lock file stays: removing it would let two supervisors
// lock two files of the same name.
func (l *Listener) Close() error {
	l.guests.close()
	return errors.Join(l.socket.Close(), l.lock.Close()) // closing the socket removes it
}

// takeLock makes this process the owner of the directory, until the file is closed or the process ends, man 2 flock.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, 32))
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another supervisor runs here (pid %s)", strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return f, nil
}

// bind makes the socket. Whoever holds the lock may remove a socket that lies in the way.
func bind(path string, mode os.FileMode, gid int) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, errors.New("in the way is something that is not a socket")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	config := net.ListenConfig{Control: private}
	l, err := config.Listen(context.Background(), "unixpacket", path)
	if err != nil {
		return nil, err
	}
	if gid >= 0 {
		err = os.Lchown(path, -1, gid)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// private sets the mode that the socket's file is born with, so that nobody connects before its group and mode are
// set: bind takes the mode of the socket's own inode (net/unix/af_unix.c, unix_bind_bsd).
func private(_, _ string, raw syscall.RawConn) error {
	var err error
	if ctlErr := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); ctlErr != nil {
		return ctlErr
	}
	return err
}

// lookupGroup is the group's number, -1 for "".
func lookupGroup(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
