// Package queue is the bounded, stable priority queue: strict between levels, first in first out within one.
//
// It orders whatever it is given and knows nothing of events; it has one owner and therefore no lock.
package queue

import "math/bits"

// Levels is how many priorities a queue tells apart: 0 to Levels-1, larger is served first.
const Levels = 32

// Queue holds at most a fixed number of values. The zero Queue holds none.
type Queue[T any] struct {
	levels   [Levels]ring[T]
	nonEmpty uint32 // bit n is set while level n has a value
	length   int
	capacity int
}

// New makes a queue that holds at most capacity values.
func New[T any](capacity int) *Queue[T] { return &Queue[T]{capacity: capacity} }

// Widen lets the queue hold at least so many values.
func (q *Queue[T]) Widen(capacity int) { q.capacity = max(q.capacity, capacity) }

// Len is how many values wait.
func (q *Queue[T]) Len() int { return q.length }

// Push puts v behind all others of its level. It reports false, and takes nothing, when the queue is full.
func (q *Queue[T]) Push(level int, v T) bool {
	if q.length == q.capacity {
		return false
	}
	q.levels[level].pushBack(v)
	q.added(level)
	return true
}

// Return puts v before all others of its level: the place that it was taken from. It never fails, because what was
// taken has left room.
func (q *Queue[T]) Return(level int, v T) {
	q.levels[level].pushFront(v)
	q.added(level)
}

func (q *Queue[T]) added(level int) {
	q.nonEmpty |= 1 << level
	q.length++
}

// Peek shows what Pop would take.
func (q *Queue[T]) Peek() (v T, level int, ok bool) {
	if q.length == 0 {
		return v, 0, false
	}
	level = q.top()
	return *q.levels[level].at(0), level, true
}

// Pop takes the value that is served first.
func (q *Queue[T]) Pop() (v T, ok bool) {
	if q.length == 0 {
		return v, false
	}
	level := q.top()
	v = q.levels[level].popFront()
	if q.levels[level].length == 0 {
		q.nonEmpty &^= 1 << level
	}
	q.length--
	return v, true
}

// Remove takes out every value that leave returns true for, in the order of serving, and keeps the order of the rest.
func (q *Queue[T]) Remove(leave func(T) bool) {
	for level := Levels - 1; level >= 0; level-- {
		r := &q.levels[level]
		for n := r.length; n > 0; n-- {
			if v := r.popFront(); leave(v) {
				q.length--
			} else {
				r.pushBack(v)
			}
		}
		if r.length == 0 {
			q.nonEmpty &^= 1 << level
		}
	}
}

// Merge puts values into a level, each before the first one there that is not before it; values and level are in the
// order of before. It never fails, like Return: what was taken has left room.
func (q *Queue[T]) Merge(level int, values []T, before func(a, b T) bool) {
	r := &q.levels[level]
	for n := r.length; n > 0; n-- {
		v := r.popFront()
		for len(values) > 0 && before(values[0], v) {
			r.pushBack(values[0])
			q.added(level)
			values = values[1:]
		}
		r.pushBack(v)
	}
	for _, v := range values {
		r.pushBack(v)
		q.added(level)
	}
}

func (q *Queue[T]) top() int { return bits.Len32(q.nonEmpty) - 1 }

// ring is a first in, first out list in one array that grows by doubling and is kept for the next burst.
type ring[T any] struct {
	items  []T // its length is zero or a power of two
	first  int
	length int
}

const firstRingItems = 8

func (r *ring[T]) at(i int) *T { return &r.items[(r.first+i)&(len(r.items)-1)] }

func (r *ring[T]) pushBack(v T) {
	r.grow()
	r.length++
	*r.at(r.length - 1) = v
}

func (r *ring[T]) pushFront(v T) {
	r.grow()
	r.first = (r.first - 1) & (len(r.items) - 1)
	r.length++
	*r.at(0) = v
}

func (r *ring[T]) popFront() T {
	var zero T
	v := *r.at(0)
	*r.at(0) = zero // what was taken must not be kept alive from here
	r.first = (r.first + 1) & (len(r.items) - 1)
	r.length--
	return v
}

func (r *ring[T]) grow() {
	if r.length < len(r.items) {
		return
	}
	items := make([]T, max(firstRingItems, 2*len(r.items)))
	for i := range r.length {
		items[i] = *r.at(i)
	}
	r.items, r.first = items, 0
}
