package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aem-exec/aem-exec/config"
)

// defaultFiles are the configuration files that are looked for without -c.
var defaultFiles = []string{"aem.toml", "/etc/aem/aem.toml"}

// load reads the configuration. Every error of it is a usage error.
func (p *program) load() (*config.File, error) {
	name, err := p.chooseFile(defaultFiles)
	if err != nil {
		return nil, usageError{err}
	}
	file, err := config.Load(name)
	if err != nil {
		return nil, usageError{err}
	}
	return file, nil
}

// chooseFile is the file of -c or, saying which, the first of the others that is there.
func (p *program) chooseFile(others []string) (string, error) {
	if p.configFile != "" {
		return p.configFile, nil
	}
	for _, name := range others {
		_, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		fmt.Fprintf(p.err, "configuration: %s\n", name)
		return name, nil
	}
	return "", fmt.Errorf("no configuration: there is no %s (-c FILE names one)", strings.Join(others, " and no "))
}
