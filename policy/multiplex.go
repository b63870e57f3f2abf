package policy

import (
	"maps"
	"math"
	"slices"
)

// multiplexers are the 32-bit x86 calls that stand for many others: their first argument says which (man 2 socketcall,
// man 2 ipc), in the bits of the mask. Denying socket(2) is worth nothing while socketcall(2) makes sockets.
var multiplexers = map[string]struct {
	mask  uint64
	calls map[string]uint64
}{
	"socketcall": {math.MaxUint64, map[string]uint64{
		"socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6, "getpeername": 7, "socketpair": 8,
		"send": 9, "recv": 10, "sendto": 11, "recvfrom": 12, "shutdown": 13, "setsockopt": 14, "getsockopt": 15,
		"sendmsg": 16, "recvmsg": 17, "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
	}},
	"ipc": {0xffff, map[string]uint64{ // the other half is a version
		"semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12, "msgget": 13, "msgctl": 14,
		"shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
	}},
}

// verdictOn returns what becomes of a system call on an architecture. A multiplexer without an unconditional rule of
// its own follows the rules of the calls it stands for, as far as they test no arguments: those lie in memory there,
// where a filter cannot look.
func (b *book) verdictOn(a Arch, name string) verdict {
	m, ok := multiplexers[name]
	if a != X86 || !ok || final(b.rules[name]) {
		return b.verdict(name)
	}
	v := slices.Clone(b.rules[name])
	for _, call := range slices.Sorted(maps.Keys(m.calls)) {
		if rules := b.rules[call]; final(rules) {
			v = append(v, rule{answer: rules[0].answer, tests: []test{{mask: m.mask, value: m.calls[call]}}})
		}
	}
	return b.close(v)
}
