package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FindProgram is the absolute path of a program: name itself, or where PATH has it.
func FindProgram(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); filepath.IsAbs(file) && executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("find program %q: not in %s", name, path)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return fmt.Errorf("find program %s: %w", file, errors.Unwrap(err))
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("find program %s: not an executable file", file)
	}
	return nil
}
