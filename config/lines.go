package config

import (
	"regexp"
	"strconv"
	"strings"
)

// lines tells on which line of text each key and table first stands. The TOML decoder gives no positions for what it
// decodes, so this reads the text a second time; it judges nothing, because the decoder has accepted it.
func lines(text string) map[string]int {
	s := &scanner{text: text, line: 1, found: map[string]int{}}
	table := ""
	for s.blank(); s.pos < len(s.text); s.blank() {
		if s.take("[") {
			s.take("[")
			table = s.key("")
			s.take("]")
			s.take("]")
			continue
		}
		s.assignment(table)
	}
	return s.found
}

// scanner walks over the text byte by byte.
type scanner struct {
	text      string
	pos, line int
	found     map[string]int
}

// blank passes over space, line ends and comments.
func (s *scanner) blank() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '#':
			s.until("\n")
		case ' ', '\t', '\r', '\n':
			s.next()
		default:
			return
		}
	}
}

// next passes over one byte.
func (s *scanner) next() {
	if s.text[s.pos] == '\n' {
		s.line++
	}
	s.pos++
}

// until passes over everything before the first of the bytes in ends.
func (s *scanner) until(ends string) {
	for s.pos < len(s.text) && strings.IndexByte(ends, s.text[s.pos]) < 0 {
		s.next()
	}
}

// take passes over what, after space, if it is there.
func (s *scanner) take(what string) bool {
	s.blank()
	if !strings.HasPrefix(s.text[s.pos:], what) {
		return false
	}
	s.pos += len(what)
	return true
}

// assignment reads `key = value` inside of table.
func (s *scanner) assignment(table string) {
	at := s.key(table)
	s.take("=")
	s.value(at)
}

// key reads a dotted key, notes the line of each of its parts and returns its path.
func (s *scanner) key(table string) string {
	at := table
	for {
		s.blank()
		line, start := s.line, s.pos
		name := ""
		if s.quoted() {
			name = unquote(s.text[start:s.pos])
		} else {
			s.until(" \t\r\n.=]")
			name = s.text[start:s.pos]
		}
		at = join(at, name)
		if _, ok := s.found[at]; !ok {
			s.found[at] = line
		}
		if !s.take(".") {
			return at
		}
	}
}

// value passes over the value of at, noting the keys of inline tables in it.
func (s *scanner) value(at string) {
	switch {
	case s.take("["):
		for s.pos < len(s.text) && !s.take("]") {
			s.value(at)
			s.take(",")
		}
	case s.take("{"):
		for s.pos < len(s.text) && !s.take("}") {
			s.assignment(at)
			s.take(",")
		}
	case s.quoted():
	default:
		s.until(",]}#\n")
	}
}

// quoted passes over a string of any of the four kinds, if there is one.
func (s *scanner) quoted() bool {
	if s.pos >= len(s.text) || s.text[s.pos] != '"' && s.text[s.pos] != '\'' {
		return false
	}
	quote := s.text[s.pos : s.pos+1]
	end := quote
	if strings.HasPrefix(s.text[s.pos:], strings.Repeat(quote, 3)) {
		end = strings.Repeat(quote, 3)
	}
	s.pos += len(end)
	for s.pos < len(s.text) && !strings.HasPrefix(s.text[s.pos:], end) {
		if quote == `"` && s.text[s.pos] == '\\' && s.pos+1 < len(s.text) {
			s.next()
		}
		s.next()
	}
	s.pos = min(s.pos+len(end), len(s.text))
	for len(end) == 3 && strings.HasPrefix(s.text[s.pos:], quote) {
		s.pos++ // a long string may end in quotes of its own
	}
	return true
}

// unquote is the name that a quoted key stands for, or the key as it is written where Go's escapes differ from TOML's.
func unquote(key string) string {
	if key[0] == '\'' {
		return strings.Trim(key, "'")
	}
	if name, err := strconv.Unquote(key); err == nil {
		return name
	}
	return key
}

var bare = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join is the path of key name in the table at.
func join(at, name string) string {
	if !bare.MatchString(name) {
		name = strconv.Quote(name)
	}
	if at == "" {
		return name
	}
	return at + "." + name
}
