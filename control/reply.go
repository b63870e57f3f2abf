package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"syscall"
)

// Reply answers one request. Errno 0 means that it was done.
type Reply struct {
	Errno  syscall.Errno   `json:"errno"`
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"` // one of the types of result.go, by operation
	Data   []byte          `json:"-"`                // dead show: the event's data
	Later  func() Reply    `json:"-"`                // what waits for the reply itself; nil: this is it
	FDs    []int           `json:"-"`                // attach: descriptors. The server closes those that it has sent, the client's are its caller's
}

// Error is a refusal: what errors.As finds behind everything that the other end, or this package, says no to.
type Error struct {
	Errno syscall.Errno
	Text  string
}

// Errorf makes an Error.
func Errorf(errno syscall.Errno, format string, args ...any) *Error {
	return &Error{errno, fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Text }

// Is makes errors.Is(err, syscall.EAGAIN) work.
func (e *Error) Is(target error) bool { return target == e.Errno }

// Done is the reply to a request that was done.
func Done(result any) Reply {
	text, err := json.Marshal(result)
	if err != nil {
		panic("aem: internal error: encode result: " + err.Error()) // our own types only
	}
	return Reply{Result: text}
}

// Refuse is the reply to a request that was not done.
func Refuse(errno syscall.Errno, format string, args ...any) Reply {
	return Errorf(errno, format, args...).reply()
}

func (e *Error) reply() Reply { return Reply{Errno: e.Errno, Error: e.Text} }

// Err is the refusal, nil when the request was done.
func (r Reply) Err() error {
	if r.Errno == 0 {
		return nil
	}
	return &Error{r.Errno, r.Error}
}

// ResultOf reads the result of a reply as the type that its operation answers with.
func ResultOf[T any](r Reply) (T, error) {
	var result T
	if err := json.Unmarshal(r.Result, &result); err != nil {
		return result, fmt.Errorf("read result: %w", err)
	}
	return result, nil
}

// message is the reply as it travels. One that is too large for a message is answered by saying so.
func (r Reply) message(op Op, sequence uint32) message {
	args := r.encode()
	if len(args)+len(r.Data) > MaxMessageBytes {
		return Refuse(syscall.EMSGSIZE, "%v: the answer is longer than %d bytes: ask for less", op, MaxMessageBytes).message(op, sequence)
	}
	return message{kind: kindReply, op: op, sequence: sequence, args: args, data: r.Data, fds: r.FDs}
}

// encode is the reply's JSON. The result, which Done has made, is not looked at again.
func (r Reply) encode() []byte {
	if r.Errno == 0 && r.Error == "" && r.Result != nil {
		return append(append([]byte(resultBegin), r.Result...), plainEnd...)
	}
	args, err := json.Marshal(r)
	if err != nil {
		panic("aem: internal error: encode reply: " + err.Error())
	}
	return args
}

// reply reads a message as a reply; fields that this version does not know are a later version's additions.
func (m message) reply() (Reply, error) {
	r := Reply{Data: m.data, FDs: m.fds}
	if m.kind != kindReply {
		return r, Errorf(syscall.EPROTO, "message of kind %d: want a reply", m.kind)
	}
	if result, ok := bytes.CutPrefix(m.args, []byte(resultBegin)); ok {
		if result, ok = bytes.CutSuffix(result, []byte(plainEnd)); ok && json.Valid(result) {
			r.Result = result
			return r, nil
		}
	}
	if err := json.Unmarshal(m.args, &r); err != nil {
		return r, Errorf(syscall.EPROTO, "%v: read reply: %v", m.op, err)
	}
	return r, nil
}
