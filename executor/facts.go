package executor

import (
	"unsafe"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
)

// factBuffer lays facts out for blocks, and is used again for each batch: facts cost no allocation once it is as large
// as a batch needs.
type factBuffer struct {
	facts []directcopy.Fact
	text  []byte // of numbers and times
}

// reset takes the buffer back, with room for the facts of a batch. What was laid out before is invalid.
func (b *factBuffer) reset(batch []*aem.Activation) {
	n := 0
	for _, a := range batch {
		n += (len(a.Event.Facts) + 1) * aem.MaxNumberText // and the time of the last arrival
	}
	if n > cap(b.text) {
		b.text = make([]byte, 0, n)
	}
	b.facts, b.text = b.facts[:0], b.text[:0]
}

// add lays out one fact.
func (b *factBuffer) add(f *aem.Fact) {
	value := f.Value
	if f.Kind != aem.FactText {
		start := len(b.text)
		b.text = f.AppendText(b.text)
		value = view(b.text[start:])
	}
	b.facts = append(b.facts, directcopy.Fact{Name: f.Name, Value: value})
}

// view is b as a string, for as long as nobody writes to b: a reservation copies facts at once, and reset had made
// room, so that they do not move.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
