package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// handler is the command of the handler that stamps, in one of the languages of the SDKs, as TOML has it. It takes so
// many events ahead, and writes to a file unless that is "".
func (b *bench) handler(language, file string, ahead int) (string, error) {
	var command []string
	program, err := "", error(nil)
	switch language {
	case "c":
		program, err = b.compile("stamp")
	case "go":
		program, err = b.compileGo("stamp-go", "./bench/testdata/stamp")
	case "python":
		command = []string{"python3"}
		program, err = filepath.Abs("bench/testdata/stamp.py")
	}
	command = append(command, program, fmt.Sprint(ahead))
	if file != "" {
		command = append(command, file)
	}
	return "\"" + strings.Join(command, "\", \"") + "\"", err
}

// direct declares a handler that takes its events by direct copy.
func direct(name, life, command string) string {
	return fmt.Sprintf("[app.bench.handler.%s]\nlife = %q\nhandover = \"direct\"\nexec = [%s]\n", name, life, command)
}

// timers declares events called NAME0, NAME1.. that together activate a handler once in every pace: there are no timers
// shorter than a millisecond, so for less than that there are several, shifted against each other.
func timers(name, handler string, pace time.Duration) string {
	var b strings.Builder
	every := max(pace, time.Millisecond)
	for first := time.Duration(0); first < every; first += pace {
		fmt.Fprintf(&b, "[app.bench.event.%s%d]\ntype = \"timer\"\nevery = \"%v\"\nfirst = \"%v\"\nhandler = %q\nstart = false\n",
			name, first/pace, every, first, handler)
	}
	return b.String()
}
