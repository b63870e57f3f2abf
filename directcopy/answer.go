package directcopy

import (
	"fmt"
	"time"
)

// Outcome is what a handler says of an event.
type Outcome uint32

// The outcomes.
const (
	Done  Outcome = 1 // it did it
	Retry Outcome = 2 // it may be tried again
	Fail  Outcome = 3 // it must not be tried again
)

// Answer is the fate of one event as its handler sees it.
type Answer struct {
	Number  uint64
	Outcome Outcome
	Delay   time.Duration // for Retry: when, 0 if the handler does not say
	Text    string        // why
	Reply   []byte        // of Done: what the handler has to say to who asked; the caller's
}

// Answers appends the answers that came, and frees the places of their events. It is to be called when AnswersFD polls,
// and may be called at any time. The error says how the handler lied: such a handler is to be ended. What was appended
// before it stays true.
func (m *Mailbox) Answers(dst []Answer) ([]Answer, error) {
	p := m.page
	p.supervisorSleeps.Store(0)
	for armed := false; ; {
		n := p.answered.Load() - m.consumed
		switch {
		case n > uint32(m.inFlight):
			return dst, fmt.Errorf("read answers: %d answers to %d events", n, m.inFlight)
		case n == 0 && armed:
			return dst, nil
		case n == 0: // look again after saying that we sleep: see wake
			p.supervisorSleeps.Store(1)
			armed = true
		}
		for ; n > 0; n-- {
			a, err := m.answer(&p.answers[m.consumed%Slots])
			if err != nil {
				return dst, err
			}
			m.consumed++
			dst = append(dst, a)
		}
	}
}

// answer reads one answer. The handler may be writing it: each word counts as it was when it was loaded.
func (m *Mailbox) answer(at *answer) (Answer, error) {
	w := answerWords{at.number.Load(), at.outcome.Load(), at.text.Load(), at.reply.Load(), at.reserved.Load()}
	number := w.number
	switch {
	case number >= m.published || number+Slots < m.published:
		return Answer{}, fmt.Errorf("read answers: event %d, which the handler never had or long gave back", number)
	case !m.ring.live(number):
		return Answer{}, fmt.Errorf("read answers: event %d twice", number)
	}
	a, err := w.judge()
	if err != nil {
		return a, err
	}
	s, err := m.takeSaid(number, w.text, w.reply)
	if err != nil {
		return a, err
	}
	a.Text, a.Reply = s.text, s.reply
	m.ring.free(number)
	m.inFlight--
	return a, nil
}

// answerWords are the words of an answer, on the page or in a message.
type answerWords struct{ number, outcome, text, reply, reserved uint64 }

// judge is the answer without what was said before it.
func (w *answerWords) judge() (Answer, error) {
	a := Answer{
		Number:  w.number,
		Outcome: Outcome(uint32(w.outcome)),
		Delay:   time.Duration(w.outcome>>32) * time.Millisecond,
	}
	switch {
	case a.Outcome < Done || a.Outcome > Fail:
		return a, fmt.Errorf("read answers: event %d has the outcome %d", w.number, a.Outcome)
	case w.reserved != 0 || w.text > MaxText:
		return a, fmt.Errorf("read answers: event %d has reserved bits set, or a text longer than %d", w.number, MaxText)
	case w.reply > MaxReply || w.reply > 0 && a.Outcome != Done:
		return a, fmt.Errorf("read answers: event %d has a reply of %d bytes and the outcome %d", w.number, w.reply, a.Outcome)
	}
	return a, nil
}

// Taken is the number of the first event that the handler has not taken: those before it have begun. A counter that
// cannot be true counts all as taken.
func (m *Mailbox) Taken() uint64 {
	behind := uint32(m.published) - m.page.taken.Load()
	if behind > uint32(m.inFlight) {
		return m.published
	}
	return m.published - uint64(behind)
}

// InFlight is how many events were published and not answered.
func (m *Mailbox) InFlight() int { return m.inFlight }
