package supervisor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	hd "github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// scheme is a handler's own: each block lies where the one before ended, its data at a page, and all is free again when
// as many were given back as were given out.
func scheme() *hd.Memory {
	m, live, top := new(hd.Memory), 0, 0
	m.Alloc = func(size, dataAt int) (offset int, ok bool) {
		if live == 0 {
			top = 0
		}
		offset = (top+dataAt+page-1)/page*page - dataAt
		if offset+size > len(m.Arena) {
			return 0, false
		}
		live, top = live+1, offset+size
		return offset, true
	}
	m.Free = func(int, int) { live-- }
	return m
}

// landed says how many bytes came at which attempt, and that they lie where the handler's scheme had them.
func landed(_ context.Context, e *hd.Event) error {
	if len(e.Data) > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(e.Data)))%4096 != 0 {
		return hd.Fail(fmt.Errorf("event at %p", e.Data))
	}
	return e.Reply(fmt.Append(nil, len(e.Data), " ", e.Attempt))
}

// TestHandlersOwnAllocator_R089_R161 has events land where their handlers say, in every life and way of copying.
func TestHandlersOwnAllocator_R089_R161(t *testing.T) {
	for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident} {
		for _, way := range []executor.Copy{executor.DirectCopy, executor.SharedCopy} {
			t.Run(string(life)+" "+string(way), func(t *testing.T) {
				h := role(t, "place")
				h.Life, h.Size, h.Copy, h.Alloc, h.ArenaSize = life, 1, way, executor.AppAlloc, 4<<20
				r := startRun(t, nil, topicApp(h))
				for _, size := range []int{0, 1, 5000, 1 << 20, 4<<20 - 8192} {
					fate := r.emit("a/t", string(make([]byte, size)))
					if want := fmt.Sprint(size, " 1"); fate.Outcome != "done" || string(fate.Reply) != want {
						t.Errorf("%d bytes: %s %s, reply %q, want %q", size, fate.Outcome, fate.Reason, fate.Reply, want)
					}
				}
				if fate := r.emit("a/t", string(make([]byte, 4<<20))); fate.Outcome != "failed" || fate.Reason != aem.ReasonChannel {
					t.Errorf("more than its arena: %s %s", fate.Outcome, fate.Reason)
				}
				r.logged("do not fit an arena of at most 4194304 (arena.alloc)")
				more := aemtest.Few(100)
				r.publishAll("a/t", more)
				if c := r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == uint64(5+more) }); c.Failed != 1 {
					t.Errorf("books %+v", c)
				}
			})
		}
	}
}

// TestAllocatorsAtFault_R089 has allocators that have no room, that take for ever and that die: each costs its event the
// attempts it may have, and another app's event nothing.
func TestAllocatorsAtFault_R089(t *testing.T) {
	for _, c := range []struct {
		role, want string
		reason     aem.Reason
	}{
		{"nowhere", "its allocator has no room for 4 bytes of data", aem.ReasonHandler},
		{"dither", "where its event is to land (arena.alloc)", aem.ReasonChannel},
		{"fall", "panic: no scheme", aem.ReasonExit},
		{"size", "handler.InMemory", aem.ReasonHello},
	} {
		t.Run(c.role, func(t *testing.T) {
			h := role(t, c.role)
			h.Life, h.Size, h.Alloc, h.Retries = executor.Resident, 1, executor.AppAlloc, 1
			h.ReadyTimeout, h.KillAfter = time.Minute, aemtest.Slow(100*time.Millisecond)
			if c.role == "dither" {
				h.ReadyTimeout = aemtest.Slow(2 * time.Second) // its hello has to come within it, too
			}
			if c.reason == aem.ReasonHello {
				h.Life = executor.Cold // its event waits for no hello of another
			}
			good := testApp("good", []executor.Spec{role(t, "size")}, event("t", source.Topic{Name: "good/t"}, "h"))
			r := startRun(t, nil, topicApp(h), good)
			r.ask(func() { r.publish("a/t", []byte("data")) })
			for range 5 {
				began := time.Now()
				if fate := r.emit("good/t", ""); fate.Outcome != "done" || time.Since(began) > aemtest.Slow(4*time.Second) {
					t.Errorf("the other app: %s after %v", fate.Outcome, time.Since(began))
				}
			}
			r.until("a/t", "failed", func(c aem.Counts) bool { return c.Failed == 1 })
			letters := r.dead.match(func(*letter) bool { return true })
			if len(letters) != 1 || letters[0].Attempts != 2 || letters[0].Reason != c.reason || !strings.Contains(letters[0].Failure, c.want) {
				t.Errorf("letters %+v, want 2 attempts, %s, %q", letters, c.reason, c.want)
			}
		})
	}
}
