// Embed is a program with a supervisor inside: its own Go functions are the handlers. It ends with SIGINT.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/supervisor"
)

// apps could as well be a file. A callback runs on the supervisor's loop: what may be slow wants agent = "thread".
const apps = `
[app.own.handler.beat]
agent   = "callback"
call    = "beat"
retries = 2
backoff = { first = "100ms" }

[app.own.event.beat]
type    = "timer"
every   = "1s"
first   = "now"
handler = "beat"
`

func main() {
	file, err := config.Parse("embed.toml", []byte(apps), "beat")
	if err != nil {
		log.Fatal(err)
	}
	o := file.Options
	o.Functions = map[string]executor.Function{"beat": newBeat()}
	s, err := supervisor.New(o)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := s.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// newBeat makes the handler. It keeps a count without a lock: callbacks never overlap. The second event fails once, to
// show what an error does: it is tried again.
func newBeat() executor.Function {
	beats := 0
	return func(_ context.Context, e *aem.Event) error {
		beats++
		if beats == 2 {
			return errors.New("out of rhythm")
		}
		fmt.Printf("%s %v %d\n", e.Type, e.ID, e.Count)
		return nil
	}
}
