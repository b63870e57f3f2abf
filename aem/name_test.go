package aem

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, c := range []struct {
		name string
		ok   bool
	}{
		{"a", true},
		{"z", true},
		{"web", true},
		{"a-b_c9", true},
		{"a-", true},
		{strings.Repeat("a", MaxNameBytes), true},
		{strings.Repeat("a", MaxNameBytes+1), false},
		{"", false},
		{"9a", false},
		{"-a", false},
		{"_a", false},
		{"A", false},
		{"aB", false},
		{"a.b", false},
		{"a/b", false},
		{"a:b", false},
		{"a b", false},
		{"a\x00", false},
		{"a\n", false},
		{"é", false},
		{"..", false},
	} {
		if err := CheckName(c.name); (err == nil) != c.ok {
			t.Errorf("%q: %v, want ok %t", c.name, err, c.ok)
		}
	}
}
