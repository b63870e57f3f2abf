package handler_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/aem-exec/aem-exec/handler"
)

// A program that registers a timer and its own listening socket with a supervisor that runs, and handles their events until
// it is sent a signal.
func ExampleAttach() {
	ctx := context.Background()
	a, err := handler.Attach(ctx, "shop")
	if err != nil {
		log.Fatal(err) // as: attach: no app "shop"
	}
	defer a.Close() // what it has registered ends with it
	l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: 7007})
	if err != nil {
		log.Fatal(err)
	}
	ids, err := a.RegisterAll(ctx,
		handler.Registration{
			Name: "tick", Event: map[string]any{"type": "timer", "every": "1s"},
			Do: func(_ context.Context, e *handler.Event) error {
				fmt.Println("tick", e.Time, e.Count)
				return nil
			},
		},
		handler.Registration{
			Name: "client", Event: map[string]any{"type": "socket.ready", "priority": 12}, Socket: l,
			Do: func(context.Context, *handler.Event) error {
				c, err := l.Accept() // there is one
				if err != nil {
					return err
				}
				defer c.Close() //nolint:errcheck // there is nothing to be done about it
				_, err = fmt.Fprintln(c, "hello")
				return err
			},
		})
	if err == nil {
		err = a.Start(ctx, ids[0][0], ids[1][0]) // they are born stopped
	}
	if err != nil {
		log.Fatal(err)
	}
	signal, err := a.Keepalive(ctx)
	fmt.Println("ended by", signal, err)
}
