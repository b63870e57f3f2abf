package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRuntimeDir(t *testing.T) {
	for _, row := range []struct {
		name, flag, env, key, systemd, xdg string
		uid                                int
		want                               string
	}{
		{"flag first", "/f", "/e", "/k", "/s", "/x", 0, "/f"},
		{"then the variable", "", "/e", "/k", "/s", "/x", 0, "/e"},
		{"then the file", "", "", "/k", "/s", "/x", 0, "/k"},
		{"then systemd", "", "", "", "/s:/other", "/x", 1000, "/s"},
		{"root", "", "", "", "", "/x", 0, "/run/aem"},
		{"user", "", "", "", "", "/x", 1000, "/x/aem"},
		{"user without XDG", "", "", "", "", "", 1000, "/tmp/aem-1000"},
		{"user with a relative XDG", "", "", "", "", "x", 1000, "/tmp/aem-1000"},
		{"cleaned", "/f/../g/", "", "", "", "", 0, "/g"},
	} {
		vars := map[string]string{"AEM_RUNTIME_DIR": row.env, "RUNTIME_DIRECTORY": row.systemd, "XDG_RUNTIME_DIR": row.xdg}
		env := Environment{func(name string) string { return vars[name] }, row.uid}
		if got := env.RuntimeDir(row.flag, row.key); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestCheckPrivate(t *testing.T) {
	base := t.TempDir()
	place := func(name string) string { return filepath.Join(base, name) }
	for _, err := range []error{
		os.Mkdir(place("good"), 0o700), os.Mkdir(place("open"), 0o755), os.WriteFile(place("file"), nil, 0o700),
		os.Symlink(place("good"), place("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name string
		uid  int
		want string // part of the refusal, "" for none
	}{
		{"good", os.Geteuid(), ""},
		{"good", os.Geteuid() + 1, "belongs to uid"},
		{"open", os.Geteuid(), "mode 0755"},
		{"file", os.Geteuid(), "not a directory"},
		{"link", os.Geteuid(), "not a directory"},
	} {
		err := checkPrivate(place(row.name), row.uid)
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s for uid %d: %v, want %q", row.name, row.uid, err, row.want)
		}
	}
}

func TestNoSupervisor(t *testing.T) {
	dir := t.TempDir()
	_, err := Dial(dir)
	want := "no supervisor at " + dir + "/control.sock (is it running? other places: "
	if !errors.Is(err, ErrNoSupervisor) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("without a socket: %v, want %s...)", err, want)
	}
	if _, err := Dial(filepath.Join(dir, strings.Repeat("x", maxPathBytes))); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("long path: %v", err)
	}
}
