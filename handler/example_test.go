package handler_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"

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

// A handler that says in a file which order is in work. Whatever its process dies of, the file goes before the order is tried
// again: it bears the event's id, so that another process finds it.
func ExampleAround() {
	file := func(e *handler.Event) string { return "in-work-" + e.ID.String() }
	begin := func(_ context.Context, e *handler.Event) error {
		return os.WriteFile(file(e), e.Data, 0o600)
	}
	end := func(_ context.Context, e *handler.Event) error {
		if e.Interrupted != "" {
			fmt.Println("order", e.ID, "was interrupted by", e.Interrupted)
		}
		if err := os.Remove(file(e)); !errors.Is(err, fs.ErrNotExist) { // it may have died before it was there
			return err
		}
		return nil
	}
	handler.Run(func(_ context.Context, e *handler.Event) error {
		fmt.Printf("order %s\n", e.Data)
		return nil
	}, handler.Around(begin, end))
}
