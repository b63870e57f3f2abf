package guest

import (
	"os"
	"path/filepath"
	"strings"
)

// FetchSystem gives a folder with the files of packages of a suite and of all that they need, from the cache or from the
// mirror that the host uses, and the version of the first. None of their scripts has run.
func FetchSystem(suite string, packages ...string) (dir, version string, err error) {
	return cached(suite, "system-"+strings.Join(packages, "-"), func(m *mirror, keep string) (string, error) {
		if err := m.downloadWhole(packages...); err != nil {
			return "", err
		}
		first, err := filepath.Glob(filepath.Join(m.dir, "cache/archives", packages[0]+"_*.deb"))
		if err != nil || len(first) != 1 {
			return "", &os.PathError{Op: "find one file of", Path: packages[0], Err: os.ErrNotExist}
		}
		_, version, _ := strings.Cut(filepath.Base(first[0]), "_")
		version, _, _ = strings.Cut(strings.ReplaceAll(version, "%3a", ":"), "_")
		return version, m.unpack(filepath.Join(keep, "root"))
	})
}
