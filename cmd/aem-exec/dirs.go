package main

import (
	"path/filepath"
	"strings"

	"github.com/aem-exec/aem-exec/control"
)

// controlDir is where emit and ctl look for control.sock. A file is read for it only when one is named.
func (p *program) controlDir() (string, error) {
	key := ""
	if p.configFile != "" {
		file, err := p.load()
		if err != nil {
			return "", err
		}
		key = file.Options.RuntimeDir
	}
	return control.OwnEnvironment().RuntimeDir(p.runtimeDir, key), nil
}

// stateDir is where what outlives a run is kept. In this order: the file's key, systemd's STATE_DIRECTORY, the default
// of the user.
func stateDir(e control.Environment, key, runtimeDir string) string {
	systemd, _, _ := strings.Cut(e.Getenv("STATE_DIRECTORY"), ":") // a list, man 5 systemd.exec
	for _, dir := range []string{key, systemd} {
		if dir != "" {
			return filepath.Clean(dir)
		}
	}
	if e.UID == 0 {
		return "/var/lib/aem"
	}
	if dir := e.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "aem")
	}
	if home := e.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "aem")
	}
	return filepath.Join(runtimeDir, "state")
}

// directories are both directories of a supervisor, from the file's keys.
func (p *program) directories(runtimeKey, stateKey string) (runtime, state string, err error) {
	env := control.OwnEnvironment()
	if runtime, err = filepath.Abs(env.RuntimeDir(p.runtimeDir, runtimeKey)); err != nil {
		return "", "", err
	}
	state, err = filepath.Abs(stateDir(env, stateKey, runtime))
	return runtime, state, err
}
