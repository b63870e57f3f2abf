package config

import (
	"strings"
	"testing"
)

// TestLines reads a text in which every key's value is the line that it stands on.
func TestLines(t *testing.T) {
	text := strings.ReplaceAll(`# comment = 0
one = 2
[a]
four = '4' # ] comment
"quo.ted" = 5
'lit "x"' = 6
b.c.d = 7
long = """8
x = 9 \""" \\"""
lit = '''10
x = '11'''
[ a . e ] # comment

  f = [14, # ]
   { g = 15 }, [ "]", ']' ]]
h = { i = 16, j = { k = 16,
  l = 17 } }
[[m]]
n = 19

[a."o\u0070"]
"" = 22
date = 1979-05-27 07:32:00 # 23
last = 24`, "\n", "\r\n")
	found := lines(text)
	for key, want := range map[string]int{
		`one`: 2, `a`: 3, `a.four`: 4, `a."quo.ted"`: 5, `a."lit \"x\""`: 6, `a.b`: 7, `a.b.c`: 7, `a.b.c.d`: 7, `a.long`: 8,
		`a.lit`: 10, `a.e`: 12, `a.e.f`: 14, `a.e.f.g`: 15, `a.e.h`: 16, `a.e.h.i`: 16, `a.e.h.j`: 16, `a.e.h.j.k`: 16, `a.e.h.j.l`: 17,
		`m`: 18, `m.n`: 19, `a.op`: 21, `a.op.""`: 22, `a.op.date`: 23, `a.op.last`: 24,
	} {
		if found[key] != want {
			t.Errorf("%s is on line %d, want %d", key, found[key], want)
		}
		delete(found, key)
	}
	if len(found) > 0 {
		t.Errorf("keys that the text does not have: %v", found)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"timer", "topic", "socket.accept", "every", "exec"}
	for written, want := range map[string]string{
		"tiemr": "timer", "tmer": "timer", "socket.acept": "socket.accept", "socketaccept": "socket.accept", "evry": "every",
		"exce": "exec", "zzz": "", "": "", strings.Repeat("timer", 1000): "",
	} {
		if want != "" {
			want = " (did you mean " + want + "?)"
		}
		if got := suggest(written, known); got != want {
			t.Errorf("%.20q: %q, want %q", written, got, want)
		}
	}
}
