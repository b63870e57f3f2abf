package directcopy

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestSharedNeedsNoProcess copies to a pid that nobody has.
func TestSharedNeedsNoProcess(t *testing.T) {
	m, b := pairOf(t, Options{ArenaSize: 1 << 16, Shared: true}, 1)
	r, err := m.Reserve([]Block{{Data: []byte("data")}})
	check(t, err)
	check(t, r.Copy(-1))
	check(t, r.Publish(-1))
	if e := take(t, b); string(e.Data) != "data" {
		t.Errorf("event %+v", e)
	}
}

// TestSharedArenaSealed has a handler that can neither cut its arena off nor keep its pages from the supervisor.
func TestSharedArenaSealed(t *testing.T) {
	m, err := NewMailbox(Options{ArenaSize: 5000, Shared: true})
	check(t, err)
	defer m.Close()
	file := m.Handler()[4]
	for _, size := range []int64{0, 4096, 1 << 20} {
		if err := sys.Ftruncate(file, size); !errors.Is(err, syscall.EPERM) {
			t.Errorf("truncate to %d: %v, want EPERM", size, err)
		}
	}
	if err := sys.AddSeals(file, sys.F_SEAL_WRITE); !errors.Is(err, syscall.EPERM) {
		t.Errorf("seal against writing: %v, want EPERM", err)
	}
	const punch = 0x1 | 0x2 // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, linux/falloc.h
	check(t, syscall.Fallocate(file, punch, 0, 8192))
	v := vector{}
	v.to(4000)
	v.add(bytes.Repeat([]byte{1}, 192))
	check(t, m.write(-1, &v))
	if m.shared.bytes[4191] != 1 || len(m.shared.bytes) != 8192 {
		t.Errorf("%d bytes; byte 4191 is %d", len(m.shared.bytes), m.shared.bytes[4191])
	}
}

// TestSharedClosed closes the mailbox of a copy that is made elsewhere.
func TestSharedClosed(t *testing.T) {
	m, _ := pairOf(t, Options{ArenaSize: 4 << 20, Shared: true}, 1)
	r, err := m.Reserve([]Block{{Data: make([]byte, 3<<20)}})
	check(t, err)
	begun, ended := make(chan struct{}), make(chan error)
	go func() {
		done, err := r.CopyChunk(-1)
		if done || err != nil {
			t.Errorf("the first of several chunks: %t, %v", done, err)
		}
		close(begun)
		<-ended
		ended <- r.Copy(-1)
	}()
	<-begun
	check(t, m.Close())
	ended <- nil
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("copy = %v, want closed", err)
	}
}

// TestSharedFileIsClosed leaves no descriptor of the arenas, on either side.
func TestSharedFileIsClosed(t *testing.T) {
	before := openDescriptors(t)
	m, b := pairOf(t, Options{ArenaSize: 1 << 16, ArenaMax: 1 << 20, Shared: true}, 1)
	ended := serve(b)
	open := openDescriptors(t)
	check(t, m.Grow(1<<20))
	prove(t, m)
	if now := openDescriptors(t); now != open || now != before+6 { // channel, bell and answers of either side
		t.Errorf("%d descriptors, %d before the growth, %d at first", now, open, before)
	}
	b.Stop()
	<-ended
}

// TestLiarsShared has handlers that name another arena than the one that is shared with them.
func TestLiarsShared(t *testing.T) {
	own := make([]byte, 1<<17)
	for _, test := range []struct {
		name string
		addr func(b *Inbox) uint64
		size uint64
		want string
	}{
		{"smaller", func(b *Inbox) uint64 { return address(b.arena) }, 1<<16 - 4096, "an arena of 61440 bytes, want one of 65536"},
		{"larger", func(b *Inbox) uint64 { return address(b.arena) }, 1 << 17, "an arena of 131072 bytes, want one of 65536"},
		{"its own", func(*Inbox) uint64 { return address(own) &^ 63 }, 1 << 16, "other bytes"},
	} {
		m, b := unproved(t, Options{ArenaSize: 1 << 16, Shared: true})
		check(t, b.send(kindHello, 0, Hello{ArenaAddr: test.addr(b), ArenaSize: test.size, InFlight: 1}.append(nil)))
		_, err := m.Receive()
		if err == nil {
			check(t, m.Prove(-1))
			check(t, b.send(kindNonce, 0, own[:nonceSize]))
			_, err = m.Receive()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
