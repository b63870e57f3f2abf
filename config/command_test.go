package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/config"
)

// TestCommandIsAFile_R172: a command line comes to what a file comes to that says the same.
func TestCommandIsAFile_R172(t *testing.T) {
	for _, c := range []struct {
		typ, settings, event, handover string
	}{
		{"timer", "after=1s", "after = '1s'", "none"},
		{"timer", "every=2s first=now clock=boottime jitter=10ms", "every = '2s'\nfirst = 'now'\nclock = 'boottime'\njitter = '10ms'", "none"},
		{"timer", "cron=@daily missed=one priority=3", "cron = '@daily'\nmissed = 'one'\npriority = 3", "none"},
		{"timer", "at=18:00", "at = '18:00'", "none"},
		{"file", "path=in on=written match=*.csv,*.txt recursive=true", "path = 'in'\non = ['written']\nmatch = ['*.csv', '*.txt']\nrecursive = true", "none"},
		{"file", `path=in on=["create","remove"]`, "path = 'in'\non = ['create', 'remove']", "none"},
		{"file", "path=7 filter=dir==1", "path = '7'\nfilter = 'dir==1'", "none"},
		{"process.exit", "pid=42", "pid = 42", "none"},
		{"socket.accept", "listen=tcp://127.0.0.1:7 per_peer=3 allow=127.0.0.1,10.0.0.0/8 backlog=8", "listen = 'tcp://127.0.0.1:7'\nper_peer = 3\nallow = ['127.0.0.1', '10.0.0.0/8']\nbacklog = 8", "socket"},
		{"socket.read", "listen=udp://127.0.0.1:7,udp://127.0.0.1:8 max_bytes=4096", "listen = ['udp://127.0.0.1:7', 'udp://127.0.0.1:8']\nmax_bytes = 4096", "data"},
		{"socket.read", "listen=tcp://127.0.0.1:7 max_bytes=4KiB", "listen = 'tcp://127.0.0.1:7'\nmax_bytes = '4KiB'", "data"},
		{"socket.state", "ports=80,443 states=CLOSE", "ports = [80, 443]\nstates = ['CLOSE']", "none"},
	} {
		command := config.Command{Type: c.typ, Settings: strings.Fields(c.settings), Exec: []string{"./a", "b c"}}
		got, err := command.Parse()
		if err != nil {
			t.Errorf("%s %s: %v", c.typ, c.settings, err)
			continue
		}
		text := "[app.try.event.try]\ntype = '" + c.typ + "'\n" + c.event +
			"\nhandler = { exec = ['./a', 'b c'], handover = '" + c.handover + "', retries = 0 }"
		want, err := config.Parse("aem.toml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(got.Options, want.Options) {
			t.Errorf("%s %s:\n got %+v\nwant %+v", c.typ, c.settings, got.Options, want.Options)
		}
	}
}

// TestCommandMistakes_R172: what is wrong is told at its word.
func TestCommandMistakes_R172(t *testing.T) {
	for _, c := range []struct {
		typ, settings, handover, want string
	}{
		{"tmier", "after=1s", "", `tmier: unknown type "tmier" (did you mean timer?)`},
		{"timer", "after=1 evry=2s", "", "timer: timer wants exactly one of after, every, at, cron\nafter=1: want a duration like \"2s\"\nevry=2s: unknown key \"evry\" (did you mean every?)"},
		{"timer", "after=1s after=2s", "", "after=2s: the key is there twice"},
		{"timer", "every=1s after", "", "after: want KEY=VALUE, with a key of an event"},
		{"timer", "after=1s handler=x type=y", "", "handler=x: want KEY=VALUE, with a key of an event\ntype=y: want KEY=VALUE, with a key of an event"},
		{"timer", "", "", "timer: timer wants exactly one of after, every, at, cron"},
		{"timer", "after=1s path=x", "", "path=x: path is no key of timer (of file)"},
		{"timer", "after=1s priority=high", "", "priority=high: want a whole number from 0 to 31"},
		{"timer", "after=1s", "socket", "timer: timer has no socket (handler \"try\" has handover socket)"},
		{"timer", "after=1s", "sock", `./a: "sock" is not one of direct, socket, listen-fds, stdin, data, none (did you mean socket?)`},
		{"file", "path=x on=writen", "", `on=writen: "writen" is not one of create, open, in, out, close, written, owner, mode, rename, remove (did you mean written?)`},
		{"process.exit", "pid=1\nx=2", "", "pid=1\nx=2: want a whole number from 1 to 4194304"},
	} {
		settings := strings.Split(c.settings, " ")
		if c.settings == "" {
			settings = nil
		}
		_, err := config.Command{Type: c.typ, Settings: settings, Exec: []string{"./a"}, Handover: c.handover}.Parse()
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %s:\n got %v\nwant %s", c.typ, c.settings, err, c.want)
		}
	}
}

// TestCommandPlaces: what the host lacks is told at the word that asks for it.
func TestCommandPlaces(t *testing.T) {
	file, err := config.Command{Type: "timer", Settings: []string{"after=1s"}, Exec: []string{filepath.Join(os.TempDir(), "none")}}.Parse()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"app.try.event.try": "timer", "app.try.event.try.after": "after=1s", "app.try.handler.try": filepath.Join(os.TempDir(), "none"),
		"app.try": "timer",
	} {
		if got := file.Place(key); got != want {
			t.Errorf("%s is at %q, want %q", key, got, want)
		}
	}
}
