// Upper answers what it is sent in capital letters. It is a handler for socket.read: the reply goes back on the connection,
// or to the sender of the datagram.
package main

import (
	"bytes"
	"context"

	"github.com/aem-exec/aem-exec/handler"
)

func main() {
	handler.Run(func(_ context.Context, e *handler.Event) error { return e.Reply(bytes.ToUpper(e.Data)) })
}
