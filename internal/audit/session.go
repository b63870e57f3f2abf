package audit

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// unset is the login uid of who never logged in, and the session that goes with it (man 5 proc).
const unset = 1<<32 - 1

// BeginSession gives the calling thread an audit session of its own, which the processes that it makes, and theirs, are in
// too: records have its number, and so tell whose they are. A session has a login uid; a thread that has none gets uid.
// That needs CAP_AUDIT_CONTROL only where it has one (kernel/audit.c, audit_set_loginuid_perm).
func BeginSession(uid uint32) (session uint32, err error) {
	const login, number = "/proc/thread-self/loginuid", "/proc/thread-self/sessionid"
	now, err := readNumber(login)
	if errors.Is(err, os.ErrNotExist) {
		return 0, errors.New("begin audit session: this kernel is built without it (CONFIG_AUDITSYSCALL)")
	}
	if err == nil {
		if now == unset {
			now = uid
		}
		err = os.WriteFile(login, []byte(strconv.FormatUint(uint64(now), 10)), 0)
	}
	if errors.Is(err, syscall.EPERM) {
		return 0, errors.New("begin audit session: needs CAP_AUDIT_CONTROL, and login uids that may change")
	}
	if err != nil {
		return 0, fmt.Errorf("begin audit session: %w", err)
	}
	return readNumber(number)
}

func readNumber(file string) (uint32, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(n), err
}
