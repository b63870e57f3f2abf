package control

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
)

// BenchmarkDo measures a request and its reply, with as much data both ways as the name says.
func BenchmarkDo(b *testing.B) {
	dir := b.TempDir()
	l, err := Listen(dir, 0o600, "")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- l.Serve(ctx, echo, slog.New(slog.DiscardHandler)) }()
	defer func() { cancel(); <-served }()
	c, err := Dial(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, size := range []int{0, 1 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			req := Request{Op: OpEmit, Topic: "a/b", Data: make([]byte, size)}
			b.SetBytes(int64(2 * size))
			for b.Loop() {
				if _, err := c.Do(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
