package limits

import (
	"os"
	"sync"
	"syscall"
)

// keptBytes is longer than any of the files read through a kept: a few short lines.
const keptBytes = 1024

// kept is a small file of a group that is read at the end of every process: it is opened once. The zero value is a
// file not opened yet.
type kept struct {
	mu     sync.Mutex // guards what follows
	fd     int
	opened bool
}

// read is the file's text now.
func (k *kept) read(path string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.opened {
		fd, err := descriptor(path, syscall.O_RDONLY)
		if err != nil {
			return "", err
		}
		k.fd, k.opened = fd, true
	}
	var text [keptBytes]byte
	n, err := syscall.Pread(k.fd, text[:], 0)
	if err != nil {
		return "", &os.PathError{Op: "read", Path: path, Err: err}
	}
	return string(text[:n]), nil
}

// counter is the value of key among the file's "key value" lines.
func (k *kept) counter(path, key string) (uint64, error) {
	text, err := k.read(path)
	if err != nil {
		return 0, err
	}
	return parseCounter(path, text, key)
}

func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opened {
		syscall.Close(k.fd)
		k.opened = false
	}
}
