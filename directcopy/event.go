package directcopy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Event is a block as its handler sees it. Its bytes lie in the arena and are valid until the event is answered.
type Event struct {
	Number                   uint64 // what the answer names
	ID, Job                  uint64
	Time, Deadline           int64 // ns of CLOCK_REALTIME; a zero Deadline is none
	Attempt, Count, Priority uint32
	FD                       int // the descriptor that came with it, its taker's to close; -1 without one
	Data                     []byte
	Interrupted              bool // the attempt ended with its process: its destructor is to be run, and no more

	facts []byte // checked: whole facts, one after the other
}

var errFacts = errors.New("read block: facts do not fit")

// decode reads a block. It is checked although its writer is trusted: a wrong one ends in an error and not in a fault.
func decode(b []byte) (e Event, err error) {
	if len(b) < blockHeaderSize {
		return e, fmt.Errorf("read block: %d bytes are no header", len(b))
	}
	le := binary.LittleEndian
	headerSize, size := uint64(le.Uint32(b[4:])), le.Uint64(b[8:])
	factCount, factsSize := le.Uint32(b[72:]), uint64(le.Uint32(b[76:]))
	dataOffset, dataSize := le.Uint64(b[80:]), le.Uint64(b[88:])
	switch n := uint64(len(b)); {
	case le.Uint32(b) != blockMagic:
		return e, fmt.Errorf("read block: magic %#x", le.Uint32(b))
	case size != n:
		return e, fmt.Errorf("read block: size %d in an entry of %d", size, n)
	case headerSize < blockHeaderSize || headerSize+factsSize > dataOffset || dataOffset > n || dataSize > n-dataOffset:
		return e, fmt.Errorf("read block: facts or data outside of its %d bytes", n)
	}
	e = Event{
		Number:   le.Uint64(b[16:]),
		ID:       le.Uint64(b[24:]),
		Job:      le.Uint64(b[32:]),
		Time:     int64(le.Uint64(b[40:])),
		Deadline: int64(le.Uint64(b[48:])),
		Attempt:  le.Uint32(b[56:]),
		Count:    le.Uint32(b[60:]),
		Priority: le.Uint32(b[64:]),
		FD:       -1,
		Data:     b[dataOffset : dataOffset+dataSize : dataOffset+dataSize],
		facts:    b[headerSize : headerSize+factsSize],

		Interrupted: le.Uint32(b[68:])&blockInterrupted != 0,
	}
	rest := e.facts
	for range factCount {
		if _, _, rest, err = cutFact(rest); err != nil {
			return Event{}, err
		}
	}
	if len(rest) != 0 {
		return Event{}, errFacts
	}
	return e, nil
}

// cutFact splits the first fact off.
func cutFact(b []byte) (name, value, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, nil, errFacts
	}
	n, v := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	size := align(4+n+1+v+1, factAlign)
	if size > len(b) {
		return nil, nil, nil, errFacts
	}
	return b[4 : 4+n], b[4+n+1 : 4+n+1+v], b[size:], nil
}

// Fact is the value of the named fact, in the arena.
func (e *Event) Fact(name string) (value []byte, ok bool) {
	for rest := e.facts; len(rest) > 0; {
		var n, v []byte
		n, v, rest, _ = cutFact(rest) // decode went this way without an error
		if string(n) == name {
			return v, true
		}
	}
	return nil, false
}
