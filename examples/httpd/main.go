// Httpd serves the files of a folder over HTTP, on one thread: what AEMhttpd was for AEM. Its supervisor accepts, reads and
// writes; each line of a request is an event, whose handler runs on the supervisor's loop, and the end of a connection is
// another.
//
//	httpd [-listen tcp://127.0.0.1:8080] FOLDER
//
// It knows GET and HEAD, keeps connections, and gives what lies in the folder and nothing else. A file is read in one
// piece while everybody waits: it is for small files, and an example.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/supervisor"
)

const apps = `
[app.http.handler.line]
agent   = "callback"
call    = "line"
retries = 0

[app.http.event.line]
type        = "socket.read"
listen      = %q
frame       = "line"
max_bytes   = "8KiB"
connections = 1000
per_peer    = 100
idle        = "30s"
handler     = "line"

[app.http.handler.gone]
agent = "callback"
call  = "gone"

[app.http.event.gone]
type    = "socket.close"
of      = "line"
handler = "gone"
`

func main() {
	listen := flag.String("listen", "tcp://127.0.0.1:8080", "where")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, flag.Arg(0), nil); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends. Ready is called when it does.
func run(ctx context.Context, listen, folder string, ready func()) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written
	file, err := config.Parse("httpd.toml", fmt.Appendf(nil, apps, listen), "line", "gone")
	if err != nil {
		return err
	}
	s := &server{root: root, requests: map[int64]*request{}}
	o := file.Options
	o.Functions = map[string]executor.Function{"line": s.line, "gone": s.gone}
	if ready != nil {
		o.Ready = func(int, int, string) { ready() }
	}
	super, err := supervisor.New(o)
	if err != nil {
		return err
	}
	return super.Run(ctx)
}
