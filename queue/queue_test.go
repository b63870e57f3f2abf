package queue

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestQueueAgreesWithSortedList_R037_R201 runs the queue beside the simplest thing that keeps the same promise: a list
// sorted by level, stable within one.
func TestQueueAgreesWithSortedList_R037_R201(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(0, 40).Draw(t, "capacity")
		p := &pair{queue: New[item](capacity), capacity: capacity, front: -1}
		t.Repeat(map[string]func(*rapid.T){
			"push": p.push, "pop": p.pop, "pop and return": p.popAndReturn, "return": p.giveBack, "remove": p.remove, "merge": p.merge, "": p.check,
		})
	})
}

// item is a value whose number tells its place within its level.
type item struct{ level, seq int }

// pair is a queue and the list that it is to agree with.
type pair struct {
	queue      *Queue[item]
	list       []item
	capacity   int
	seq, front int // numbers of what comes next, behind all others and before them
}

func (p *pair) push(t *rapid.T) {
	v := item{rapid.IntRange(0, Levels-1).Draw(t, "level"), p.seq}
	p.seq++
	if got, want := p.queue.Push(v.level, v), len(p.list) < p.capacity; got != want {
		t.Fatalf("push into %d of %d: %v", len(p.list), p.capacity, got)
	} else if want {
		p.list = append(p.list, v)
	}
}

func (p *pair) pop(t *rapid.T) {
	v, ok := p.queue.Pop()
	if ok != (len(p.list) > 0) || ok && v != p.list[0] {
		t.Fatalf("pop %v %v, want first of %v", v, ok, p.list)
	}
	if ok {
		p.list = p.list[1:]
	}
}

func (p *pair) popAndReturn(*rapid.T) {
	if v, ok := p.queue.Pop(); ok {
		p.queue.Return(v.level, v)
	}
}

// giveBack returns something that was taken before all that is there.
func (p *pair) giveBack(t *rapid.T) {
	if len(p.list) == p.capacity {
		return // nothing was taken that could come back
	}
	v := item{rapid.IntRange(0, Levels-1).Draw(t, "level"), p.front}
	p.front--
	p.queue.Return(v.level, v)
	p.list = append(p.list, v)
}

func (p *pair) remove(*rapid.T) {
	odd := func(v item) bool { return v.seq%2 != 0 }
	p.queue.Remove(odd)
	p.list = slices.DeleteFunc(slices.Clone(p.list), odd)
}

// merge moves the values of every other level into one.
func (p *pair) merge(t *rapid.T) {
	level := rapid.IntRange(0, Levels-1).Draw(t, "level")
	var moved []item
	p.queue.Remove(func(v item) bool {
		if v.level%2 == 0 {
			moved = append(moved, item{level, v.seq})
		}
		return v.level%2 == 0
	})
	slices.SortFunc(moved, func(a, b item) int { return a.seq - b.seq })
	p.queue.Merge(level, moved, func(a, b item) bool { return a.seq < b.seq })
	for i := range p.list {
		if p.list[i].level%2 == 0 {
			p.list[i].level = level
		}
	}
}

func (p *pair) check(t *rapid.T) {
	slices.SortStableFunc(p.list, func(a, b item) int { return cmp.Or(b.level-a.level, a.seq-b.seq) })
	v, level, ok := p.queue.Peek()
	if p.queue.Len() != len(p.list) || ok != (len(p.list) > 0) || ok && (v != p.list[0] || level != v.level) {
		t.Fatalf("len %d, peek %v %v, want %v", p.queue.Len(), v, ok, p.list)
	}
}

func BenchmarkPushPop(b *testing.B) {
	q := New[uint64](1024)
	for i := range 512 {
		q.Push(i%Levels, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.Push(i%Levels, uint64(i))
		q.Pop()
	}
}
