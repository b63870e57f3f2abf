package spawn

import (
	"slices"
	"strings"
	"unsafe"
)

const (
	listenPID = "LISTEN_PID="
	pidRoom   = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // for the digits of a 32-bit pid
)

// copyText copies arguments and environment to where the child reads them, in the form of execve(2).
func (l *list) copyText(v *Vars) {
	size := len(listenPID+pidRoom) + 1
	for _, s := range v.Args {
		size += len(s) + 1
	}
	for _, s := range v.Env {
		size += len(s) + 1
	}
	l.text = slices.Grow(l.text[:0], size) // the text must not move once it is pointed to

	l.argv = l.argv[:0]
	for _, s := range v.Args {
		l.argv = append(l.argv, l.put(s))
	}
	l.argv = append(l.argv, 0)

	l.envp = l.envp[:0]
	for _, s := range v.Env {
		if !v.ListenPID || !strings.HasPrefix(s, listenPID) {
			l.envp = append(l.envp, l.put(s))
		}
	}
	if v.ListenPID {
		place := l.put(listenPID + pidRoom)
		l.envp = append(l.envp, place)
		l.listenPID = place + uintptr(len(listenPID))
	}
	l.envp = append(l.envp, 0)
}

// put appends a string and its NUL and returns its address.
func (l *list) put(s string) uintptr {
	at := len(l.text)
	l.text = append(append(l.text, s...), 0)
	return uintptr(unsafe.Pointer(&l.text[at]))
}
