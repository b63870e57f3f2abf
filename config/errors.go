package config

import (
	"fmt"
	"slices"
	"strings"
)

// Error is one thing wrong with the file, or worth a warning, and its place.
type Error struct {
	File    string
	Line    int
	Key     string // path of the key or table, "" for the text as a whole
	Word    string // of a command line, where there is no file
	Message string
}

func (e Error) Error() string {
	switch {
	case e.Word != "" && e.Message != "":
		return e.Word + ": " + e.Message
	case e.Word != "":
		return e.Word
	case e.Key == "":
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Key, e.Message)
}

// Errors is everything wrong with the file, in the order of its lines.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// byLine sorts what was found in the order of the table into the order of the file.
func byLine(found []Error) {
	slices.SortStableFunc(found, func(a, b Error) int { return a.Line - b.Line })
}
