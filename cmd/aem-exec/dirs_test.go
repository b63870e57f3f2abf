package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aem-exec/aem-exec/control"
)

func TestStateDir(t *testing.T) {
	for _, row := range []struct {
		name, key, systemd, xdg, home string
		uid                           int
		want                          string
	}{
		{"the file first", "/k", "/s", "/x", "/h", 0, "/k"},
		{"then systemd", "", "/s:/other", "/x", "/h", 0, "/s"},
		{"root", "", "", "/x", "/h", 0, "/var/lib/aem"},
		{"user", "", "", "/x", "/h", 7, "/x/aem"},
		{"user without XDG", "", "", "", "/h", 7, "/h/.local/state/aem"},
		{"user without a home", "", "", "x", "", 7, "/run/7/state"},
	} {
		vars := map[string]string{"STATE_DIRECTORY": row.systemd, "XDG_STATE_HOME": row.xdg, "HOME": row.home}
		env := control.Environment{Getenv: func(name string) string { return vars[name] }, UID: row.uid}
		if got := stateDir(env, row.key, "/run/7"); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestDirectories(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	t.Setenv("AEM_RUNTIME_DIR", "/ignored")
	p := &program{runtimeDir: "run"}
	runtime, state, err := p.directories("/ignored", "/state")
	if want := filepath.Join(here, "run"); err != nil || runtime != want || state != "/state" {
		t.Errorf("%s, %s, %v, want %s and /state", runtime, state, err, want)
	}
}

// TestControlDirReadsNoFileUnasked has an aem.toml lie where emit and ctl are run.
func TestControlDirReadsNoFileUnasked(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("AEM_RUNTIME_DIR", "")
	t.Setenv("RUNTIME_DIRECTORY", "/systemd")
	if err := os.WriteFile("aem.toml", []byte("[supervisor]\nruntime_dir = \"here\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ file, flag, want string }{
		{"", "", "/systemd"},
		{"aem.toml", "", filepath.Join(dir, "here")},
		{"aem.toml", "/flag", "/flag"},
	} {
		p := &program{configFile: row.file, runtimeDir: row.flag}
		if got, err := p.controlDir(); err != nil || got != row.want {
			t.Errorf("-c %q --runtime-dir %q: %s, %v, want %s", row.file, row.flag, got, err, row.want)
		}
	}
}
