package directcopy

import (
	"errors"
	"fmt"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Image is the memory of a program that we did not make. Its number is not ours to keep, so it is never written to by
// number: the memory was opened once, as it was then, and when the program has exec'ed another or has ended, nothing can
// be written any more. An image has one owner, who closes it when no copy is under way.
type Image struct{ fd int }

// ErrImageGone says that the memory is nobody's any more.
var ErrImageGone = errors.New("its memory is gone: it has ended, or has exec'ed another program")

// OpenImage opens the memory of process pid, whose descriptor pidfd is and who is uid. What cannot be written to, or is
// another user's by now, is refused.
func OpenImage(pid, pidfd int, uid uint32) (*Image, error) {
	fd, owner, err := sys.OpenMemory(pid)
	if err != nil {
		return nil, fmt.Errorf("open memory of process %d: %w", pid, err)
	}
	switch {
	case sys.PidfdEnded(pidfd): // and the number may have been another's
		err = fmt.Errorf("open memory of process %d: it has ended", pid)
	case owner != uid:
		err = fmt.Errorf("open memory of process %d: it is uid %d's, and uid %d connected: it is not dumpable, or is another program by now", pid, owner, uid)
	}
	if err != nil {
		sys.Close(fd)
		return nil, err
	}
	return &Image{fd}, nil
}

// Close gives the memory up.
func (i *Image) Close() { sys.Close(i.fd) }

// write writes at most chunkBytes of a vector with one call, as many as the kernel takes.
func (i *Image) write(v *vector) error {
	place, most := v.remote[0].Base, min(v.remote[0].Len, chunkBytes)
	local, asked := v.front(most)
	last, over := &local[len(local)-1], max(0, asked-most)
	last.SetLen(int(last.Len) - over) // for this call: there is no remote length that would end it
	n, err := sys.WriteMemory(i.fd, local, place)
	last.SetLen(int(last.Len) + over)
	if err == nil && n <= 0 {
		err = ErrImageGone
	}
	if err != nil {
		return fmt.Errorf("write to an attached program at %#x, %d of %d bytes written: %w", place, v.total-v.left, v.total, err)
	}
	if n < asked-over {
		v.short++
	}
	v.advance(n)
	return nil
}

// front is the first local pieces that have n bytes together, or as many as go in one call, and how many they have.
func (v *vector) front(n int) (local []sys.Iovec, bytes int) {
	for i := range v.local[:min(len(v.local), maxVectors)] {
		local = v.local[:i+1]
		if bytes += int(v.local[i].Len); bytes >= n {
			break
		}
	}
	return local, bytes
}
