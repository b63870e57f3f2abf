package policy

import (
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// TestReach jumps over more and more to an instruction, beside an answer that has to be written first.
func TestReach(t *testing.T) {
	for distance := range 300 {
		a := &assembler{answers: map[uint32]int{}, leaves: map[string]target{}}
		far := a.write(bpf.RetConstant{Val: 1})
		for range distance {
			a.write(bpf.RetConstant{Val: 2})
		}
		other := target{answer: 3, at: unwritten}
		a.load(offsetNumber, a.jump(bpf.JumpEqual, 0, far, a.load(offsetArch, a.jump(bpf.JumpEqual, 1, far, other))))
		slices.Reverse(a.code)
		vm, err := bpf.NewVM(a.code)
		if err != nil {
			t.Fatal(err)
		}
		for c, want := range map[call]uint32{{nr: 0}: 1, {nr: 1, audit: 0}: 3, {nr: 1, audit: 1}: 1} {
			if got := run(t, vm, c); got != want {
				t.Fatalf("over %d instructions: %+v answers %d, want %d", distance, c, got, want)
			}
		}
	}
}
