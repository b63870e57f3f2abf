package aem

import (
	"strconv"
	"time"
)

// MaxFactBytes is the longest value a fact may have: facts go into argument lists and environments.
const MaxFactBytes = 4096

// FactKind is what the value of a fact is.
type FactKind uint8

// The kinds.
const (
	FactText   FactKind = iota // Value
	FactNumber                 // Number
	FactTime                   // Number, in nanoseconds since 1970
)

var factKinds = [...]string{FactText: "text", FactNumber: "number", FactTime: "time"}

func (k FactKind) String() string { return factKinds[k] }

// MarshalText prints the kind by its name.
func (k FactKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Fact is one short named value of an event, such as its peer or its topic. Numbers and times become text where text is
// wanted, so that an event which nobody reads them of costs no allocation.
type Fact struct {
	Name   string
	Value  string
	Number int64
	Kind   FactKind
}

// NumberFact is a fact that is a number.
func NumberFact(name string, n int64) Fact { return Fact{Name: name, Number: n, Kind: FactNumber} }

// TimeFact is a fact that is a time, as time.Time.UnixNano gives it.
func TimeFact(name string, ns int64) Fact { return Fact{Name: name, Number: ns, Kind: FactTime} }

// MaxNumberText is the longest text of a number or time, in bytes.
const MaxNumberText = len("-292277022399-01-01T00:00:00.999999999+00:00")

// AppendText appends the value as text: numbers in decimal, times as RFC 3339 with nanoseconds in local time.
func (f *Fact) AppendText(dst []byte) []byte {
	switch f.Kind {
	case FactNumber:
		return strconv.AppendInt(dst, f.Number, 10)
	case FactTime:
		return time.Unix(0, f.Number).AppendFormat(dst, time.RFC3339Nano)
	}
	return append(dst, f.Value...)
}

// Text is the value as text.
func (f *Fact) Text() string {
	if f.Kind == FactText {
		return f.Value
	}
	return string(f.AppendText(make([]byte, 0, MaxNumberText)))
}
