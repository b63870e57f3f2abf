package control

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestListenRemovesAStaleSocket(t *testing.T) {
	dir := t.TempDir()
	stale, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: SocketPath(dir), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false) // as a killed supervisor leaves it
	_ = stale.Close()
	if _, err := Dial(dir); err == nil || !strings.HasPrefix(err.Error(), "no supervisor at") {
		t.Errorf("stale socket: %v", err)
	}
	l, err := Listen(dir, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(l.Path()); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket %v, %v: want mode 0660", info, err)
	}
	if pid, err := os.ReadFile(filepath.Join(dir, lockName)); err != nil || string(pid) != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("lock file holds %q, %v", pid, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(SocketPath(dir)); !os.IsNotExist(err) {
		t.Errorf("after Close the socket is still there: %v", err)
	}
}

func TestListenLeavesAloneWhatIsNoSocket(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(SocketPath(dir), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(dir, 0o600, ""); err == nil {
		_ = l.Close()
		t.Error("a file was replaced by a socket")
	}
}

// TestSocketIsBornPrivate looks at the socket before its mode is set, under the most open umask.
func TestSocketIsBornPrivate(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "s")
	config := net.ListenConfig{Control: private}
	l, err := config.Listen(t.Context(), "unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v: want mode 0600", info.Mode(), err)
	}
}

func TestListenSetsTheGroup(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	dir := t.TempDir()
	l, err := Listen(dir, 0o660, "daemon")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(l.Path())
	if want, _ := lookupGroup("daemon"); err != nil || int(info.Sys().(*syscall.Stat_t).Gid) != want {
		t.Errorf("socket %v, %v: want group %d", info, err, want)
	}
	if _, err := Listen(t.TempDir(), 0o660, "no-such-group"); err == nil {
		t.Error("an unknown group was taken")
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	l, err := Listen(t.TempDir(), 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Serve(ctx, echo, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("Serve: %v, want nil", err)
	}
}
