package sdk

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestChildKeepsItsEvent has children hold their events while others are written over them in the arena, and while that
// grows: each has its own.
func TestChildKeepsItsEvent(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		for name, shared := range map[string]bool{"direct": false, "shared": true} {
			t.Run(name, func(t *testing.T) {
				a := ready(t, h.Exec, directcopy.Options{ArenaSize: 64 << 10, ArenaMax: 4 << 20, Shared: shared, Zygote: true})
				accept := []directcopy.Fact{{Name: "type", Value: "socket.accept"}}
				var conns []*os.File
				sizes := []int{40 << 10, 50 << 10, 1, 60 << 10, 3 << 20, 2 << 20, 10}
				for i, size := range sizes {
					conn := a.Connect(directcopy.Block{Facts: accept, Data: bytes.Repeat([]byte{byte(i + 1)}, size)})
					if child := a.Child(directcopy.Born); child.Number != uint64(i) {
						t.Errorf("event %d is born as %d", i, child.Number)
					}
					conns = append(conns, conn)
				}
				for i := range sizes {
					if n, err := conns[i].Read(make([]byte, 100)); n == 0 || err != nil { // what it tells of itself
						t.Fatalf("read %d, %v", n, err)
					}
					_, err := conns[i].Write([]byte("s"))
					check(t, err)
					got := a.Child(directcopy.Answered).Answer
					if want := fmt.Sprintf("%d bytes, sum %d", sizes[i], sizes[i]*(i+1)); got.Number != uint64(i) || got.Text != want {
						t.Errorf("event %d: %+v, want %q", i, got, want)
					}
					check(t, a.Box.AskEnd(uint64(i)))
					if got := a.Child(directcopy.Ended); got.Exit != (sys.Exit{}) {
						t.Errorf("event %d: its child ended with %+v", i, got.Exit)
					}
				}
				check(t, a.Box.Stop())
				a.End()
				a.Exit(0)
			})
		}
	})
}

// TestZygoteIsAskedTooMuch asks for the end of a child that another has waited for, or that never was.
func TestZygoteIsAskedTooMuch(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		a := ready(t, h.Exec, directcopy.Options{ArenaSize: 64 << 10, Zygote: true})
		check(t, sys.SendMessage(a.Box.Channel(), []byte("AEM1\x01\x00\x0a\x00\x00\x00\x00\x00\x07\x00\x00\x00"), false))
		a.End()
		a.Exit(1)
	})
}

// FuzzZygoteHears sends a zygote anything, with descriptors: it may end with status 0 or 1, and by no signal.
func FuzzZygoteHears(f *testing.F) {
	aemtest.Require(f, c.needs...)
	message := func(kind, number byte) string {
		return "AEM1\x01\x00" + string([]byte{kind}) + "\x00\x00\x00\x00\x00" + string([]byte{number}) + "\x00\x00\x00"
	}
	f.Add([]byte(message(3, 0)), uint8(3))
	f.Add([]byte(message(10, 0)), uint8(0))
	f.Add([]byte(message(7, 0)), uint8(1))
	f.Add([]byte("anything"), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, n uint8) {
		if len(raw) == 0 || len(raw) > 8<<10 {
			return // no message, and more than we send
		}
		if len(raw) >= 16 {
			raw[14], raw[15] = 0, 0 // an arena of gigabytes would be made, which takes its time
		}
		a := ready(t, c.command(t, "testdata/egg.c"), directcopy.Options{ArenaSize: 64 << 10, Zygote: true})
		fds := []int{0, 1, 2, 0, 1}[:n%6]
		for range 2 {
			if len(fds) == 0 {
				sys.SendMessage(a.Box.Channel(), raw, false) //nolint:errcheck // it may have ended
			} else {
				sys.SendDescriptors(a.Box.Channel(), raw, fds, false) //nolint:errcheck // it may have ended
			}
		}
		a.Box.Close()
		if status, wrote := a.Wait(); status != 0 && status != 1 {
			t.Errorf("status %d after %q; it wrote: %s", status, raw, wrote)
		}
	})
}
