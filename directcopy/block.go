package directcopy

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The layout of a block: header, facts, data; docs/abi.md has the table.
const (
	blockMagic      = 'A' | 'E'<<8 | 'M'<<16 | 'E'<<24
	blockHeaderSize = 96
	blockAlign      = 64 // of blocks in the arena and of data in a block: a cache line
	factAlign       = 8

	maxFactName  = 63
	maxFactValue = 4096
)

// Fact is one short named value of an event.
type Fact struct{ Name, Value string }

// Block is one event on its way into an arena. Facts and Data stay the caller's, unchanged until the copy ended.
type Block struct {
	ID, Job                  uint64
	Time, Deadline           int64 // ns of CLOCK_REALTIME; a zero Deadline is none
	Attempt, Count, Priority uint32
	Interrupted              bool // the attempt ended with its process: its destructor is to be run, and no more
	Facts                    []Fact
	Data                     []byte
}

func align(n, to int) int { return (n + to - 1) &^ (to - 1) }

// headSize is the size of header and facts: where the data begins.
func (b *Block) headSize() int { return align(blockHeaderSize+b.factsSize(), blockAlign) }

// Size is how many bytes the block takes in an arena.
func (b *Block) Size() int { return align(b.headSize()+len(b.Data), blockAlign) }

func (b *Block) factsSize() (n int) {
	for _, f := range b.Facts {
		n += align(4+len(f.Name)+1+len(f.Value)+1, factAlign)
	}
	return n
}

// check refuses facts that a handler could not read back: names and values end with a NUL there.
func (b *Block) check() error {
	for _, f := range b.Facts {
		switch {
		case len(f.Name) > maxFactName || len(f.Value) > maxFactValue:
			return fmt.Errorf("lay out block: fact %.63q is longer than %d bytes", f.Name, maxFactValue)
		case strings.IndexByte(f.Name, 0) >= 0 || strings.IndexByte(f.Value, 0) >= 0:
			return fmt.Errorf("lay out block: fact %q has a NUL byte", f.Name)
		}
	}
	return nil
}

// blockInterrupted is a flag of blocks.
const blockInterrupted = 1 << 0

func (b *Block) flags() uint32 {
	if b.Interrupted {
		return blockInterrupted
	}
	return 0
}

// appendHead appends header and facts, up to where the data begins.
func (b *Block) appendHead(dst []byte, number uint64) []byte {
	le, start := binary.LittleEndian, len(dst)
	dst = le.AppendUint32(dst, blockMagic)
	dst = le.AppendUint32(dst, blockHeaderSize)
	dst = le.AppendUint64(dst, uint64(b.Size()))
	dst = le.AppendUint64(dst, number)
	dst = le.AppendUint64(dst, b.ID)
	dst = le.AppendUint64(dst, b.Job)
	dst = le.AppendUint64(dst, uint64(b.Time))
	dst = le.AppendUint64(dst, uint64(b.Deadline))
	dst = le.AppendUint32(dst, b.Attempt)
	dst = le.AppendUint32(dst, b.Count)
	dst = le.AppendUint32(dst, b.Priority)
	dst = le.AppendUint32(dst, b.flags())
	dst = le.AppendUint32(dst, uint32(len(b.Facts)))
	dst = le.AppendUint32(dst, uint32(b.factsSize()))
	dst = le.AppendUint64(dst, uint64(b.headSize()))
	dst = le.AppendUint64(dst, uint64(len(b.Data)))
	for _, f := range b.Facts {
		dst = le.AppendUint16(dst, uint16(len(f.Name)))
		dst = le.AppendUint16(dst, uint16(len(f.Value)))
		dst = append(dst, f.Name...)
		dst = append(dst, 0)
		dst = append(dst, f.Value...)
		dst = pad(append(dst, 0), start, factAlign)
	}
	return pad(dst, start, blockAlign)
}

// pad appends zeros until what began at start has a length that is a multiple of to.
func pad(dst []byte, start, to int) []byte {
	var zeros [blockAlign]byte
	n := len(dst) - start
	return append(dst, zeros[:align(n, to)-n]...)
}
