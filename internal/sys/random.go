package sys

import "golang.org/x/sys/unix"

// Getrandom fills b, at most 256 bytes, with random bytes (man 2 getrandom): so few are never cut short by a signal.
func Getrandom(b []byte) error {
	_, err := unix.Getrandom(b, 0)
	return err
}
