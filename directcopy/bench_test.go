package directcopy

import (
	"fmt"
	"testing"
)

// BenchmarkPut is Reserve, Copy and Publish, with the handler's and the supervisor's share of the answers, in one
// process: no sleeping and no waking. The arena is the handler's, or shared; to be compared with BenchmarkMemcpy.
func BenchmarkPut(b *testing.B) {
	for _, bench := range []struct{ events, size int }{{1, 64}, {1, 1 << 10}, {1, 64 << 10}, {1, 1 << 20}, {1, 16 << 20}, {8, 64}, {64, 64}, {64, 1 << 10}} {
		name := fmt.Sprintf("%dx%dB", bench.events, bench.size)
		b.Run("direct/"+name, func(b *testing.B) { benchmarkPut(b, false, bench.events, bench.size) })
		b.Run("shared/"+name, func(b *testing.B) { benchmarkPut(b, true, bench.events, bench.size) })
	}
}

func benchmarkPut(b *testing.B, shared bool, events, size int) {
	m, inbox := pairOf(b, Options{ArenaSize: 32 << 20, Shared: shared}, Slots)
	blocks := make([]Block, events)
	for i := range blocks {
		blocks[i] = Block{Facts: []Fact{{"app", "shop"}, {"event", "order"}}, Data: make([]byte, size)}
	}
	answers := make([]Answer, 0, Slots)
	b.SetBytes(int64(events * size))
	b.ReportAllocs()
	for b.Loop() {
		if err := roundTrip(m, inbox, blocks, nil, answers); err != nil {
			b.Fatal(err)
		}
	}
}

// roundTrip publishes, takes and answers blocks. Nobody sleeps, so nobody rings.
func roundTrip(m *Mailbox, inbox *Inbox, blocks []Block, reply []byte, answers []Answer) error {
	m.page.supervisorSleeps.Store(0)
	r, err := m.Reserve(blocks)
	if err != nil {
		return err
	}
	if err = r.Copy(self); err != nil {
		return err
	}
	if err = r.Publish(-1); err != nil {
		return err
	}
	for range blocks {
		e, err := inbox.Take()
		if err != nil {
			return err
		}
		if err = inbox.Answer(Answer{Number: e.Number, Outcome: Done, Reply: reply}); err != nil {
			return err
		}
	}
	if answers, err = m.Answers(answers[:0]); len(answers) != len(blocks) {
		return fmt.Errorf("%d answers to %d events: %v", len(answers), len(blocks), err)
	}
	return nil
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			from, to := make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			local := [][]byte{from}
			for b.Loop() {
				Write(self, address(to), local)
			}
		})
	}
}

func BenchmarkMemcpy(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			from, to := make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				copy(to, from)
			}
		})
	}
}

// BenchmarkReply is an event without data, and a reply to it.
func BenchmarkReply(b *testing.B) {
	for _, size := range []int{0, 64, maxBody, 16 * maxBody} { // more the channel does not hold at once
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			m, inbox := pair(b, 1<<16, 1)
			reply, answers := make([]byte, size), make([]Answer, 0, 1)
			b.SetBytes(int64(size))
			for b.Loop() {
				check(b, roundTrip(m, inbox, make([]Block, 1), reply, answers))
			}
		})
	}
}
