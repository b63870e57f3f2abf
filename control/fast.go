package control

import (
	"bytes"
	"strconv"

	"github.com/aem-exec/aem-exec/aem"
)

// Requests that say nothing but the ids of jobs, and replies that say no, or not, nothing but a result, come by thousands a
// second. They are written and read here without reflection, in the very form that encoding/json has for them; what has
// another form is left to that.

const (
	idsBegin, idsNext, idsEnd = `{"selectors":["`, `","`, `"]`
	quietEnd, plainEnd        = `,"quiet":true}`, `}`
	resultBegin               = `{"errno":0,"result":`
)

// idsOf is the JSON of a request that says nothing but ids, and perhaps that it is quiet; ok is false for others.
func (r *Request) idsOf() (args []byte, ok bool) {
	given := r.given() &^ argQuiet
	if given != argSelectors {
		return nil, false
	}
	args = make([]byte, 0, len(idsBegin)+24*len(r.Selectors)+len(quietEnd))
	for i, s := range r.Selectors {
		if s.ID == 0 {
			return nil, false
		}
		if i == 0 {
			args = append(args, idsBegin...)
		} else {
			args = append(args, idsNext...)
		}
		args = strconv.AppendUint(args, uint64(s.ID.Slot()), 10)
		args = append(args, ':')
		args = strconv.AppendUint(args, uint64(s.ID.Generation()), 10)
	}
	args = append(args, idsEnd...)
	if r.Quiet {
		return append(args, quietEnd...), true
	}
	return append(args, plainEnd...), true
}

// readIDs reads what idsOf has written.
func (r *Request) readIDs(args []byte) (ok bool) {
	rest, ok := bytes.CutPrefix(args, []byte(idsBegin))
	if !ok {
		return false
	}
	var selectors []Selector
	for {
		text, after, ok := bytes.Cut(rest, []byte(`"`))
		id, err := aem.ParseJobID(string(text))
		if !ok || err != nil {
			return false
		}
		selectors = append(selectors, Selector{ID: id})
		if rest, ok = bytes.CutPrefix(after, []byte(idsNext[1:])); ok {
			continue
		}
		switch string(after) {
		case idsEnd[1:] + plainEnd:
			r.Selectors = selectors
			return true
		case idsEnd[1:] + quietEnd:
			r.Selectors, r.Quiet = selectors, true
			return true
		}
		return false
	}
}
