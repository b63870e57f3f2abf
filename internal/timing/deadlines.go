package timing

// Ref names one deadline until it is taken or cancelled. The zero Ref names none.
type Ref uint32

// Deadlines is a 4-ary heap of deadlines, each with a number of its owner's. It holds no pointers, so a million of
// them cost the garbage collector nothing, and 20 bytes each.
type Deadlines struct {
	heap   []deadline
	places []uint32 // Ref-1 -> place in heap, or the next free Ref
	free   Ref
}

type deadline struct {
	at    int64
	token uint64
	ref   Ref
}

// Len is how many deadlines wait.
func (d *Deadlines) Len() int { return len(d.heap) }

// Add waits until at for token.
func (d *Deadlines) Add(at int64, token uint64) Ref {
	ref := d.free
	if ref == 0 {
		d.places = append(d.places, 0)
		ref = Ref(len(d.places))
	} else {
		d.free = Ref(d.places[ref-1])
	}
	d.heap = append(d.heap, deadline{at, token, ref})
	d.up(len(d.heap) - 1)
	return ref
}

// Cancel forgets a deadline that was neither taken nor cancelled before.
func (d *Deadlines) Cancel(ref Ref) { d.remove(int(d.places[ref-1])) }

// At is when a deadline is.
func (d *Deadlines) At(ref Ref) int64 { return d.heap[d.places[ref-1]].at }

// Next is the earliest deadline.
func (d *Deadlines) Next() (at int64, ok bool) {
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0].at, true
}

// Take removes the earliest deadline and returns it if it is due at now. Deadlines of one instant are taken in no
// particular order.
func (d *Deadlines) Take(now int64) (token uint64, at int64, ok bool) {
	if len(d.heap) == 0 || d.heap[0].at > now {
		return 0, 0, false
	}
	first := d.heap[0]
	d.remove(0)
	return first.token, first.at, true
}

func (d *Deadlines) remove(i int) {
	ref := d.heap[i].ref
	last := len(d.heap) - 1
	moved := d.heap[last]
	d.heap = d.heap[:last]
	if i < last {
		d.put(i, moved)
		d.up(i)
		d.down(int(d.places[moved.ref-1]))
	}
	d.places[ref-1] = uint32(d.free)
	d.free = ref
}

func (d *Deadlines) put(i int, e deadline) {
	d.heap[i] = e
	d.places[e.ref-1] = uint32(i)
}

func (d *Deadlines) up(i int) {
	e := d.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if d.heap[parent].at <= e.at {
			break
		}
		d.put(i, d.heap[parent])
		i = parent
	}
	d.put(i, e)
}

func (d *Deadlines) down(i int) {
	e := d.heap[i]
	for {
		least, first := i, 4*i+1
		at := e.at
		for child := first; child < min(first+4, len(d.heap)); child++ {
			if d.heap[child].at < at {
				least, at = child, d.heap[child].at
			}
		}
		if least == i {
			break
		}
		d.put(i, d.heap[least])
		i = least
	}
	d.put(i, e)
}
