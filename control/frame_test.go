package control

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// TestHeaderLayout pins the bytes that other languages write.
func TestHeaderLayout(t *testing.T) {
	got := header{Kind: kindRequest, Flags: flagMore, Op: OpEmit, Sequence: 0x01020304}.build(nil, []byte("{}"), []byte("abc"))
	want := []byte("AEMC\x01\x00\x18\x00\x01\x01\x08\x00\x04\x03\x02\x01\x02\x00\x00\x00\x03\x00\x00\x00{}abc")
	if !bytes.Equal(got, want) {
		t.Errorf("frame\n%q, want\n%q", got, want)
	}
	if n := binary.Size(header{}); n != headerBytes {
		t.Errorf("header of %d bytes, want %d", n, headerBytes)
	}
}

func TestMessageMeetsItsFrames(t *testing.T) {
	const room = MaxFrameBytes - headerBytes
	for _, row := range []struct{ args, data, frames int }{
		{0, 0, 1},
		{2, 0, 1},
		{room, 0, 1},
		{room, 1, 2},
		{room + 1, 0, 2},
		{10, room - 10, 1},
		{10, room - 9, 2},
		{room + 5, 2 * room, 4},
	} {
		m := message{kind: kindReply, op: OpDeadShow, sequence: 9,
			args: bytes.Repeat([]byte("a"), row.args), data: bytes.Repeat([]byte("d"), row.data)}
		frames := 0
		var a assembly
		whole := false
		err := m.split(func(frame []byte) (err error) {
			if whole {
				return errors.New("whole before its last frame")
			}
			frames++
			whole, err = a.add(frame)
			return err
		})
		same := bytes.Equal(a.args, m.args) && bytes.Equal(a.data, m.data) && a.kind == m.kind && a.op == m.op && a.sequence == 9
		if err != nil || !whole || !same || frames != row.frames {
			t.Errorf("%+v: %d frames, whole %v, same %v, %v", row, frames, whole, same, err)
		}
	}
}

func TestAssemblyIsBounded(t *testing.T) {
	a := assembly{message: message{data: make([]byte, MaxMessageBytes)}}
	if _, err := a.add(header{}.build(nil, nil, nil)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := a.add(header{}.build(nil, nil, []byte{0})); err == nil {
		t.Error("one byte more than a message may have was taken")
	}
}

// FuzzSplit sends messages whose parts have any length.
func FuzzSplit(f *testing.F) {
	f.Add(uint32(0), uint32(0))
	f.Add(uint32(MaxFrameBytes-headerBytes), uint32(1))
	f.Fuzz(func(t *testing.T, args, data uint32) {
		m := message{kind: kindRequest, op: OpEmit, sequence: args,
			args: bytes.Repeat([]byte("a"), int(args%(1<<20))), data: bytes.Repeat([]byte("d"), int(data%(1<<20)))}
		var a assembly
		whole := false
		err := m.split(func(frame []byte) (err error) {
			if len(frame) > MaxFrameBytes || whole {
				return errors.New("frame too long, or one behind the last")
			}
			whole, err = a.add(frame)
			return err
		})
		if err != nil || !whole || !bytes.Equal(a.args, m.args) || !bytes.Equal(a.data, m.data) {
			t.Fatalf("%d and %d bytes: whole %v, %v", len(m.args), len(m.data), whole, err)
		}
	})
}

// FuzzAssembly feeds whatever arrives, cut into frames at each length that the input itself says.
func FuzzAssembly(f *testing.F) {
	request := header{Kind: kindRequest, Op: OpEmit, Flags: flagMore}.build(nil, []byte(`{"topic":`), nil)
	rest := header{Kind: kindRequest, Op: OpEmit}.build(nil, []byte(`"a/b"}`), []byte("data"))
	f.Add(append(append([]byte{byte(len(request))}, request...), append([]byte{byte(len(rest))}, rest...)...))
	f.Add([]byte("\x05hello"))
	for op, args := range map[Op]string{
		OpAttach:   `{"app":"a","handler":{"arena":{"copy": "shared"}},"token":"x"}`,
		OpRegister: `{"events":[{"name":"e","event":{"type":"timer", "every":"1s"},"count":7,"inherit":true}]}`,
		OpRemove:   `{"own":true,"quiet":true}`,
	} {
		frame := header{Kind: kindRequest, Op: op}.build(nil, []byte(args), nil)
		f.Add(append([]byte{byte(len(frame))}, frame...))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var a assembly
		taken := 0
		for len(input) > 0 {
			n := min(int(input[0]), len(input)-1)
			whole, err := a.add(input[1 : 1+n])
			if err != nil {
				return
			}
			taken += n - headerBytes
			input = input[1+n:]
			if whole {
				break
			}
		}
		if a.size() != taken {
			t.Fatalf("holds %d bytes of %d", a.size(), taken)
		}
		if req, err := a.request(); err == nil {
			again(t, req)
		}
		_, _ = a.reply()
	})
}

// again checks that what was read as a request is the same request after one more travel.
func again(t *testing.T, req Request) {
	m, err := req.message(1)
	if err != nil {
		t.Fatalf("%+v: %v", req, err)
	}
	got, err := m.request()
	if err != nil {
		t.Fatalf("%s: %v", m.args, err)
	}
	for _, r := range []*Request{&req, &got} { // no selectors and none given are the same, and space in tables means nothing
		r.Handler = compact(r.Handler)
		r.Events = append([]Registration{}, r.Events...)
		for i := range r.Events {
			r.Events[i].Event = compact(r.Events[i].Event)
		}
		r.Selectors, r.IDs, r.Data = append([]Selector{}, r.Selectors...), append(r.IDs[:0:0], r.IDs...), append([]byte{}, r.Data...)
	}
	if !reflect.DeepEqual(req, got) {
		t.Fatalf("sent %+v, received %+v", req, got)
	}
}

func compact(text json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(text) == 0 || json.Compact(&b, text) != nil {
		return nil
	}
	if b.String() == "null" {
		return nil
	}
	return b.Bytes()
}

// FuzzReply reads what a lying server could send.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"errno":2,"error":"no job"}`), []byte(nil))
	f.Add([]byte(`{"errno":0,"result":[]}`), []byte("data"))
	f.Add([]byte(`{"errno":-1}`), []byte(nil))
	f.Fuzz(func(t *testing.T, args, data []byte) {
		r, err := message{kind: kindReply, args: args, data: data}.reply()
		if err != nil {
			return
		}
		if (r.Err() == nil) != (r.Errno == 0) {
			t.Fatalf("%+v: refusal %v", r, r.Err())
		}
		back, err := r.message(OpList, 1).reply()
		if err != nil || back.Errno != r.Errno || back.Error != r.Error {
			t.Fatalf("sent %+v, received %+v, %v", r, back, err)
		}
	})
}
