// Echo-aem is an echo server on a supervisor that is embedded: a callback sends back what comes on connections.
//
//	echo-aem PORT
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/supervisor"
)

const apps = `
[app.echo.limits]
activations = 1000
[app.echo.handler.echo]
agent = "callback"
call = "echo"
[app.echo.event.echo]
type = "socket.read"
listen = "tcp://127.0.0.1:%s"
connections = 100_000
handler = "echo"
`

func main() {
	file, err := config.Parse("echo.toml", fmt.Appendf(nil, apps, os.Args[1]), "echo")
	if err != nil {
		log.Fatal(err)
	}
	o := file.Options
	o.Functions = map[string]executor.Function{"echo": func(_ context.Context, e *aem.Event) error {
		e.Reply(e.Data)
		return nil
	}}
	s, err := supervisor.New(o)
	if err == nil {
		err = s.Run(context.Background()) // until whoever started it ends it
	}
	log.Fatal(err)
}
