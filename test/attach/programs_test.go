package attach

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/aem-exec/aem-exec/handler"
)

// programs are what tests start.
var programs = map[string]func(){
	"tell":  tell,
	"hang":  hang,
	"exec":  become,
	"try":   try,
	"fork":  child,
	"given": given,
}

// tell registers a timer, a topic and a socket, the path of which is its argument, tells what comes of them, and what ends
// its keepalive.
func tell() {
	ctx := context.Background()
	a := must(handler.Attach(ctx, "a", handler.InFlight(8), settings(table{"arena": table{"copy": os.Args[2]}})))
	timer := must(a.Register(ctx, "tick", table{"type": "timer", "every": "10ms"}, func(_ context.Context, e *handler.Event) error {
		fmt.Println("tick", e.Type, e.Count > 0, e.Fact("scheduled") != "")
		return nil
	}))
	topic := must(a.Register(ctx, "news", table{"type": "topic"}, func(_ context.Context, e *handler.Event) error {
		return e.Reply(fmt.Appendf(nil, "%x", sha256.Sum256(e.Data)))
	}))
	socket := must(a.Register(ctx, "in", table{"type": "socket.accept", "listen": "unix://" + os.Args[1]}, func(_ context.Context, e *handler.Event) error {
		c, err := e.Conn()
		if err == nil {
			_, err = io.Copy(c, c)
		}
		return err
	}))
	must(0, a.Start(ctx, timer, topic, socket))
	fmt.Println("ids", timer, topic, socket)
	for {
		s := must(a.Keepalive(ctx))
		fmt.Println("signal", s)
		if s == syscall.SIGTERM {
			return
		}
	}
}

// hang handles one event for ever, and lets several more be written ahead.
func hang() {
	ctx := context.Background()
	a := must(handler.Attach(ctx, "a", handler.InFlight(4), settings(table{})))
	id := must(a.Register(ctx, "news", table{"type": "topic", "topic": "stuck"}, func(context.Context, *handler.Event) error {
		fmt.Println("stuck")
		select {}
	}))
	must(0, a.Start(ctx, id))
	fmt.Println("ready")
	must(a.Keepalive(ctx))
}

// become is another program from its first line on, with all that this one had open.
func become() {
	ctx := context.Background()
	a := must(handler.Attach(ctx, "a"))
	id := must(a.Register(ctx, "news", table{"type": "topic"}, func(context.Context, *handler.Event) error { return nil }))
	must(0, a.Start(ctx, id))
	for fd := range 64 {
		syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, 0) //nolint:errcheck // some are not open
	}
	fmt.Println("ready")
	must(0, syscall.Exec("/bin/sleep", []string{"sleep", "600"}, os.Environ()))
}

// try tells what becomes of the registrations of which its arguments are the tables.
func try() {
	ctx := context.Background()
	a, err := handler.Attach(ctx, os.Args[1], settings(table{}))
	if err != nil {
		fmt.Println("refused", int(errno(err)), err)
		return
	}
	fmt.Println("attached")
	for _, event := range os.Args[2:] {
		var t table
		must(0, unmarshal(event, &t))
		_, err := a.Register(ctx, "e", t, nothing)
		fmt.Println("registered", int(errno(err)), err)
	}
}

// child attaches with the token of another, and handles what it has inherited.
func child() {
	ctx := context.Background()
	a := must(handler.Attach(ctx, "a", handler.Token(os.Args[1]), settings(table{})))
	for _, job := range a.Inherited() {
		fmt.Println("inherited", job.ID, job.Parent)
		a.Handle(job.ID, func(_ context.Context, e *handler.Event) error {
			return e.Reply([]byte("child " + strconv.Itoa(os.Getpid())))
		})
		must(0, a.Start(ctx, job.ID))
	}
	fmt.Println("ready")
	go func() {
		bufio.NewReader(os.Stdin).ReadByte() //nolint:errcheck // its end is what is waited for
		os.Exit(0)
	}()
	must(a.Keepalive(ctx))
}
