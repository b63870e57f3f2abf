package directcopy

import (
	"errors"
	"fmt"
	"io"
)

// said is what a handler sends of an event before it answers it: why it did not end well, or a reply. It is bounded by
// MaxText and MaxReply for each event in flight.
type said struct {
	text  string
	reply []byte
}

// keep keeps a text, or the next piece of a reply, until the answer of its event names it.
func (m *Mailbox) keep(msg message) error {
	number, err := m.inHand(msg)
	if err != nil {
		return err
	}
	return m.said[number%Slots].keep(msg)
}

// inHand is the whole number of an event in flight that a message is about: its low half is that of one of the last
// Slots numbers.
func (m *Mailbox) inHand(msg message) (number uint64, err error) {
	number = m.published - uint64(uint32(m.published)-msg.number)
	if number >= m.published || !m.ring.live(number) {
		return 0, fmt.Errorf("read message: %v of event %d, which the handler does not have", msg.kind, msg.number)
	}
	return number, nil
}

func (s *said) keep(msg message) error {
	switch {
	case len(msg.body) == 0:
		return fmt.Errorf("read message: %v of event %d is empty", msg.kind, msg.number)
	case msg.kind == kindReply:
		return s.add(msg)
	case s.text != "":
		return fmt.Errorf("read message: %v of event %d is not the first", msg.kind, msg.number)
	}
	s.text = string(msg.body)
	return nil
}

// add adds a piece to a reply. That all but the last have one size bounds how many there can be.
func (s *said) add(piece message) error {
	switch n := len(s.reply); {
	case n%maxBody != 0:
		return fmt.Errorf("read message: reply of event %d goes on after %d bytes, where it ended", piece.number, n)
	case n+len(piece.body) > MaxReply:
		return fmt.Errorf("read message: reply of event %d is longer than %d bytes", piece.number, MaxReply)
	}
	s.reply = append(s.reply, piece.body...)
	return nil
}

// takeSaid takes what the handler said of an event in flight. The answer tells how much that is; it was sent before the
// answer, so it is there.
func (m *Mailbox) takeSaid(number, text, reply uint64) (said, error) {
	s := &m.said[number%Slots]
	for uint64(len(s.text)) < text || uint64(len(s.reply)) < reply {
		msg, ok, err := m.receive()
		if errors.Is(err, io.EOF) || err == nil && !ok {
			break
		}
		if err == nil {
			_, err = m.hear(msg)
		}
		if err != nil {
			return said{}, err
		}
	}
	return s.take(number, text, reply)
}

// take is what was said of an event, which is to be as much as its answer tells.
func (s *said) take(number, text, reply uint64) (said, error) {
	if uint64(len(s.text)) != text || uint64(len(s.reply)) != reply {
		return said{}, fmt.Errorf("read answers: event %d has a text of %d bytes and a reply of %d, and not of %d and %d",
			number, len(s.text), len(s.reply), text, reply)
	}
	taken := *s
	*s = said{}
	return taken, nil
}
