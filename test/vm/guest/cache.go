package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// cached returns what was once fetched of a suite and is kept as NAME in $XDG_CACHE_HOME/aem-vm/SUITE, fetching it if it
// is not there: fetch puts it into keep and says its version. What is there is whole: it is made beside its place.
func cached(suite, name string, fetch func(m *mirror, keep string) (version string, err error)) (dir, version string, err error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", "", err
	}
	base = filepath.Join(base, "aem-vm", suite)
	dir = filepath.Join(base, name)
	if text, err := os.ReadFile(filepath.Join(dir, "version")); err == nil {
		return dir, string(text), nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", "", err
	}
	work, err := os.MkdirTemp(base, "fetching-*")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // nobody reads what stays of it
	m, err := openMirror(filepath.Join(work, "apt"), suite)
	if err != nil {
		return "", "", fmt.Errorf("open the archive of %s: %w", suite, err)
	}
	keep := filepath.Join(work, "keep")
	if err := os.Mkdir(keep, 0o755); err != nil {
		return "", "", err
	}
	if version, err = fetch(m, keep); err != nil {
		return "", "", fmt.Errorf("fetch %s of %s: %w", name, suite, err)
	}
	if err := os.WriteFile(filepath.Join(keep, "version"), []byte(version), 0o644); err != nil {
		return "", "", err
	}
	if err := os.Rename(keep, dir); err != nil && !errors.Is(err, fs.ErrExist) { // it exists when another run was quicker
		return "", "", err
	}
	return dir, version, nil
}
