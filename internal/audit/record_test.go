package audit

import (
	"strings"
	"testing"
	"time"
)

const example = `audit(1795227309.007:14): auid=4294967295 uid=0 gid=0 ses=4294967295 pid=23029 comm="exe" exe="/tmp/policy.test" ` +
	`sig=31 arch=c000003e syscall=95 compat=0 ip=0x40d3ce code=0x80000000`

func TestParse(t *testing.T) {
	want := Record{time.Unix(1795227309, 7e6), 23029, unset, "exe", "/tmp/policy.test", 0xc000003e, 95, 31, 0x80000000}
	tests := []struct {
		name, old, new string
		change         func(r *Record)
	}{
		{"as seen", "", "", func(*Record) {}},
		{"ends with a NUL", "code=0x80000000", "code=0x80000000\x00", func(*Record) {}},
		{"name in hexadecimal", `comm="exe"`, `comm=612062`, func(r *Record) { r.Comm = "a b" }},
		{"no program", `exe="/tmp/policy.test"`, `exe=(null)`, func(r *Record) { r.Exe = "(null)" }},
		{"in a session", "ses=4294967295", "ses=7", func(r *Record) { r.Session = 7 }},
		{"without sessions", "ses=4294967295 ", "", func(*Record) {}},
		{"security module", "pid=", "subj=unconfined pid=", func(*Record) {}},
		{"x32", "syscall=95", "syscall=1073741919", func(r *Record) { r.Syscall = 0x4000_005f }},
		{"no call", "syscall=95", "syscall=-1", func(r *Record) { r.Syscall = -1 }},
	}
	for _, tt := range tests {
		want := want
		tt.change(&want)
		got, err := parse(strings.Replace(example, tt.old, tt.new, 1))
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v\nwant %+v", tt.name, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ old, new, want string }{
		{"audit(", "(", "no time"},
		{"): ", ") ", "no time"},
		{"1795227309.007:14", "yesterday", `parsing "yesterday"`},
		{"1795227309.007:14", "1795227309", `parsing ""`},
		{"pid=23029 ", "", "no pid"},
		{" code=0x80000000", "", "no code"},
		{"ses=4294967295", "ses=4294967296", `ses: strconv.ParseUint`},
		{"sig=31", "sig=x", `sig: strconv.Atoi: parsing "x"`},
		{"arch=c000003e", "arch=1c000003e", "arch: strconv.ParseUint"},
	}
	for _, tt := range tests {
		r, err := parse(strings.Replace(example, tt.old, tt.new, 1))
		if err == nil || !strings.Contains(err.Error(), tt.want) || r != (Record{}) {
			t.Errorf("%q for %q: got %+v, %v; want %s", tt.new, tt.old, r, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("audit(1.2:3): pid=1 comm=41 exe=(null) sig=0 arch=0 syscall=-1 code=0x0\x00")
	f.Add("audit(): =")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parse(text); err != nil && r != (Record{}) {
			t.Errorf("record %+v with error %v", r, err)
		}
	})
}
