package slab

import "testing"

func TestSlabKeepsValuesWhereTheyAre(t *testing.T) {
	var s Slab[int]
	if s.At(0) != nil || s.At(1<<31) != nil {
		t.Error("an empty slab has values")
	}
	far := s.Make(5 * PageItems)
	*far = 7
	if s.At(PageItems) != nil {
		t.Error("a page exists that nobody used")
	}
	for i := range uint32(3 * PageItems) {
		*s.Make(i) = int(i)
	}
	if s.Make(5*PageItems) != far || *far != 7 {
		t.Error("a value moved")
	}
	for i := range uint32(3 * PageItems) {
		if p := s.At(i); p == nil || *p != int(i) {
			t.Fatalf("value %d is %v", i, p)
		}
	}
	if p := s.At(5*PageItems + 1); p == nil || *p != 0 {
		t.Error("the rest of a page is not zero")
	}
}
