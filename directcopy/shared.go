package directcopy

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// sharedArena is the supervisor's own mapping of an arena that is a file in memory, which the handler maps too. To write
// there needs no leave of the handler's, and meets no page that it could hold back.
type sharedArena struct {
	mu    sync.Mutex // held while bytes are written or unmapped: a copy may be elsewhere when the mailbox is closed
	bytes []byte     // nil in the end
}

// newSharedArena makes an arena and its file. No page of it is touched here: who is first is charged for it
// (mm/memcontrol.c), and that is to be the handler.
func newSharedArena(size int) (bytes []byte, file int, err error) {
	file, err = sealedFile("aem-arena", size)
	if err != nil {
		return nil, -1, fmt.Errorf("make shared arena: %w", err)
	}
	if bytes, err = sys.MmapShared(file, size); err != nil {
		sys.Close(file)
		return nil, -1, fmt.Errorf("make shared arena: %w", err)
	}
	return bytes, file, nil
}

// replace unmaps the arena, and takes another.
func (a *sharedArena) replace(bytes []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes != nil {
		sys.Munmap(a.bytes) //nolint:errcheck // it is one of ours
	}
	a.bytes = bytes
}

// write writes at most chunkBytes of a vector, whose remote places are offsets here.
func (a *sharedArena) write(v *vector) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes == nil {
		return fmt.Errorf("write to shared arena: %w", os.ErrClosed)
	}
	to := a.bytes[v.remote[0].Base:][:min(v.remote[0].Len, chunkBytes)]
	n := 0
	for i := 0; n < len(to); i++ {
		n += copy(to[n:], unsafe.Slice(v.local[i].Base, v.local[i].Len))
	}
	v.advance(n)
	return nil
}
