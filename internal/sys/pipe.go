package sys

import "golang.org/x/sys/unix"

// Pipe makes a pipe whose reading end does not block and whose writing end does, man 2 pipe2: programs expect that of
// their standard output.
func Pipe() (read, write int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	if err := unix.SetNonblock(ends[0], true); err != nil {
		unix.Close(ends[0])
		unix.Close(ends[1])
		return -1, -1, err
	}
	return ends[0], ends[1], nil
}

// Read reads once, man 2 read; 0 is the end of the file.
func Read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}
