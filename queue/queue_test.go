package queue

import (
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// TestQueueAgreesWithSortedList_R037_R201 runs the queue beside the simplest thing that keeps the same promise: a list
// sorted by level, stable within one.
func TestQueueAgreesWithSortedList_R037_R201(t *testing.T) {
	type item struct{ level, seq int }
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(0, 40).Draw(t, "capacity")
		q := New[item](capacity)
		var model []item
		seq, front := 0, -1
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				v := item{rapid.IntRange(0, Levels-1).Draw(t, "level"), seq}
				seq++
				if got, want := q.Push(v.level, v), len(model) < capacity; got != want {
					t.Fatalf("push into %d of %d: %v", len(model), capacity, got)
				} else if want {
					model = append(model, v)
				}
			},
			"pop": func(t *rapid.T) {
				v, ok := q.Pop()
				if ok != (len(model) > 0) || ok && v != model[0] {
					t.Fatalf("pop %v %v, want first of %v", v, ok, model)
				}
				if ok {
					model = model[1:]
				}
			},
			"pop and return": func(t *rapid.T) {
				v, ok := q.Pop()
				if ok {
					q.Return(v.level, v)
				}
			},
			"return": func(t *rapid.T) {
				if len(model) == capacity {
					return // nothing was taken that could come back
				}
				v := item{rapid.IntRange(0, Levels-1).Draw(t, "level"), front}
				front--
				q.Return(v.level, v)
				model = append(model, v)
			},
			"remove": func(t *rapid.T) {
				odd := func(v item) bool { return v.seq%2 != 0 }
				q.Remove(odd)
				kept := model[:0:0]
				for _, v := range model {
					if !odd(v) {
						kept = append(kept, v)
					}
				}
				model = kept
			},
			"merge": func(t *rapid.T) {
				level := rapid.IntRange(0, Levels-1).Draw(t, "level")
				var moved []item
				q.Remove(func(v item) bool {
					if v.level%2 == 0 {
						moved = append(moved, v)
					}
					return v.level%2 == 0
				})
				sort.Slice(moved, func(i, j int) bool { return moved[i].seq < moved[j].seq })
				for i := range moved {
					moved[i].level = level
				}
				q.Merge(level, moved, func(a, b item) bool { return a.seq < b.seq })
				for i := range model {
					if model[i].level%2 == 0 {
						model[i].level = level
					}
				}
			},
			"": func(t *rapid.T) {
				sort.SliceStable(model, func(i, j int) bool {
					a, b := model[i], model[j]
					return a.level > b.level || a.level == b.level && a.seq < b.seq
				})
				v, level, ok := q.Peek()
				if q.Len() != len(model) || ok != (len(model) > 0) || ok && (v != model[0] || level != v.level) {
					t.Fatalf("len %d, peek %v %v, want %v", q.Len(), v, ok, model)
				}
			},
		})
	})
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
