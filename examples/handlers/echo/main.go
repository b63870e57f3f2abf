// Echo sends back what a client sends until the client ends. It is a handler for socket.accept.
package main

import (
	"context"
	"io"

	"github.com/aem-exec/aem-exec/handler"
)

func main() {
	handler.Run(func(_ context.Context, e *handler.Event) error {
		c, err := e.Conn()
		if err != nil {
			return err
		}
		_, err = io.Copy(c, c)
		return err
	})
}
