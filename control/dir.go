package control

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Environment is where RuntimeDir looks things up: os.Getenv and os.Geteuid, but in tests.
type Environment struct {
	Getenv func(string) string
	UID    int
}

// OwnEnvironment is that of this process.
func OwnEnvironment() Environment { return Environment{os.Getenv, os.Geteuid()} }

// RuntimeDir is where the control socket lives. In this order: flag, AEM_RUNTIME_DIR, the file's key, systemd's
// RUNTIME_DIRECTORY, the default of the user. flag and key are "" when not given.
func (e Environment) RuntimeDir(flag, key string) string {
	systemd, _, _ := strings.Cut(e.Getenv("RUNTIME_DIRECTORY"), ":") // a list, man 5 systemd.exec
	for _, dir := range []string{flag, e.Getenv("AEM_RUNTIME_DIR"), key, systemd} {
		if dir != "" {
			return filepath.Clean(dir)
		}
	}
	return e.places()[0]
}

// places are the directories that this user's supervisor can have by default, the likeliest first.
func (e Environment) places() []string {
	var places []string
	if e.UID == 0 {
		places = append(places, "/run/aem")
	}
	if dir := e.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		places = append(places, filepath.Join(dir, "aem"))
	}
	places = append(places, temporary(e.UID))
	if e.UID != 0 {
		places = append(places, "/run/aem")
	}
	return places
}

// otherPlaces are the sockets to look at when there is none in dir.
func otherPlaces(dir string) []string {
	var sockets []string
	for _, place := range OwnEnvironment().places() {
		if place != filepath.Clean(dir) {
			sockets = append(sockets, SocketPath(place))
		}
	}
	return sockets
}

// temporary is the default of a user who has no directory of his own for such things.
func temporary(uid int) string { return filepath.Join("/tmp", "aem-"+strconv.Itoa(uid)) }

// MakeRuntimeDir makes the directory, for its owner alone, if it is missing.
func MakeRuntimeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return checkDefault(dir)
}

// checkDefault looks twice at the directory below /tmp, where everybody can make one under our name.
func checkDefault(dir string) error {
	uid := os.Geteuid()
	if filepath.Clean(dir) != temporary(uid) {
		return nil
	}
	err := checkPrivate(dir, uid)
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// checkPrivate refuses a directory that is not the user's alone. In a sticky directory like /tmp nobody else can
// exchange one that passed.
func checkPrivate(dir string, uid int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	switch {
	case !info.IsDir():
		return fmt.Errorf("use %s: not a directory", dir)
	case owner != uid:
		return fmt.Errorf("use %s: belongs to uid %d, not to %d", dir, owner, uid)
	case info.Mode().Perm() != 0o700:
		return fmt.Errorf("use %s: mode %04o, want 0700", dir, info.Mode().Perm())
	}
	return nil
}
