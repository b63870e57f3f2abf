package main

import (
	"errors"
	"fmt"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/supervisor"
)

// placed is an error of the host with the place in the file that asks for what the host does not have.
func placed(file *config.File, err error) string {
	var host *supervisor.HostError
	if errors.As(err, &host) {
		return fmt.Sprintf("%s: %v", file.Place(host.Path), host.Err)
	}
	return err.Error()
}

// complainOfHost tells why the supervisor does not start on this host.
func (p *program) complainOfHost(file *config.File, err error) error {
	several := parts(err)
	if len(several) == 1 && !errors.As(err, new(*supervisor.HostError)) {
		return err
	}
	for _, one := range several {
		fmt.Fprintln(p.err, placed(file, one))
	}
	fmt.Fprintln(p.err, count(len(several), "error"))
	return told(exitFailed)
}

// parts takes joined errors apart.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, parts(one)...)
	}
	return all
}
