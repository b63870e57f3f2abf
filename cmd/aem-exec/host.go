package main

import (
	"fmt"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/supervisor"
)

// placed is an error of the host with the place in the file that asks for what the host does not have.
func placed(file *config.File, err *supervisor.HostError) string {
	if err.Path == "" {
		return err.Err.Error()
	}
	return fmt.Sprintf("%s: %v", file.Place(err.Path), err.Err)
}

// complainOfHost tells why the supervisor does not start on this host.
func (p *program) complainOfHost(file *config.File, err error) error {
	several := supervisor.HostErrors(err)
	if len(several) == 1 && several[0].Path == "" {
		return err
	}
	for _, one := range several {
		fmt.Fprintln(p.err, placed(file, one))
	}
	fmt.Fprintln(p.err, count(len(several), "error"))
	return told(exitFailed)
}
