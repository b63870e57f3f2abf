package audit

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Record tells of one system call that a seccomp filter judged.
type Record struct {
	Time      time.Time
	PID       int    // the process, not the thread
	Session   uint32 // of audit; 1<<32-1 for none
	Comm, Exe string // the thread's name and the program's file, both of the handler's choosing
	Arch      uint32 // AUDIT_ARCH_*
	Syscall   int
	Signal    int    // 31 (SIGSYS) or 0
	Action    uint32 // SECCOMP_RET_*, without its data
}

// parse reads the text of a record (kernel/auditsc.c, audit_seccomp):
//
//	audit(1795227309.007:14): auid=0 uid=0 ... pid=77 comm="x" exe="/x" sig=31 arch=c000003e syscall=39 ... code=0x80000000
//
// Strings are in quotes, or in hexadecimal if they have a space, a quote or something not printable, so a space always
// ends a field. Fields that are not known are passed over: security modules add some.
func parse(text string) (Record, error) {
	text = strings.TrimRight(text, "\x00\n")
	stamp, fields, ok := strings.Cut(text, "): ")
	stamp, isStamp := strings.CutPrefix(stamp, "audit(")
	if !ok || !isStamp {
		return Record{}, fmt.Errorf("read audit record %.80q: no time", text)
	}
	r := Record{Session: unset}
	var err error
	if r.Time, err = parseTime(stamp); err != nil {
		return Record{}, fmt.Errorf("read audit record %.80q: %v", text, err)
	}
	missing := map[string]bool{"pid": true, "sig": true, "arch": true, "syscall": true, "code": true}
	for field := range strings.FieldsSeq(fields) {
		key, value, _ := strings.Cut(field, "=")
		if err := r.set(key, value); err != nil {
			return Record{}, fmt.Errorf("read audit record %.80q: %s: %v", text, key, err)
		}
		delete(missing, key)
	}
	for key := range missing {
		return Record{}, fmt.Errorf("read audit record %.80q: no %s", text, key)
	}
	return r, nil
}

func (r *Record) set(key, value string) (err error) {
	switch key {
	case "pid":
		r.PID, err = strconv.Atoi(value)
	case "ses":
		var n uint64
		n, err = strconv.ParseUint(value, 10, 32)
		r.Session = uint32(n)
	case "sig":
		r.Signal, err = strconv.Atoi(value)
	case "syscall":
		r.Syscall, err = strconv.Atoi(value)
	case "arch":
		r.Arch, err = parseHex(value)
	case "code":
		r.Action, err = parseHex(strings.TrimPrefix(value, "0x"))
	case "comm":
		r.Comm = untrusted(value)
	case "exe":
		r.Exe = untrusted(value)
	}
	return err
}

func parseHex(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	return uint32(n), err
}

// parseTime reads seconds.milliseconds:serial.
func parseTime(stamp string) (time.Time, error) {
	clock, _, _ := strings.Cut(stamp, ":")
	seconds, millis, _ := strings.Cut(clock, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	ms, err := strconv.ParseUint(millis, 10, 16)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(s, int64(ms)*int64(time.Millisecond)), nil
}

// untrusted reads what audit_log_untrustedstring wrote; "(null)" and the like stay as they are.
func untrusted(s string) string {
	if inner, ok := strings.CutPrefix(s, `"`); ok {
		return strings.TrimSuffix(inner, `"`)
	}
	if b, err := hex.DecodeString(s); err == nil {
		return string(b)
	}
	return s
}
