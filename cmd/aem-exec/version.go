package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/control"
)

// build tells which program this is.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Protocol int    `json:"protocol"` // of the control socket
}

func thisBuild() build {
	b := build{"unknown", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, control.Version}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	return b
}

func (p *program) versionVerb() *cobra.Command {
	return p.jsonFlag(&cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: p.verb(func(*cobra.Command, []string) error {
			b := thisBuild()
			if p.json {
				return p.printJSON(b)
			}
			_, err := fmt.Fprintf(p.out, "aem-exec %s (%s, %s, control protocol %d)\n", b.Version, b.Go, b.Platform, b.Protocol)
			return err
		}),
	})
}
