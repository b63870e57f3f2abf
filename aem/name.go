package aem

import "fmt"

// MaxNameBytes is the longest name of an app, an event or a handler.
const MaxNameBytes = 63

// CheckName reports what keeps s from being a name: [a-z][a-z0-9_-]{0,62}.
func CheckName(s string) error {
	if len(s) == 0 || len(s) > MaxNameBytes {
		return fmt.Errorf("name %q: want 1 to %d characters", s, MaxNameBytes)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z'
		later := '0' <= c && c <= '9' || c == '_' || c == '-'
		if !letter && (i == 0 || !later) {
			return fmt.Errorf("name %q: want a small letter, then small letters, digits, _ or -", s)
		}
	}
	return nil
}
