package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// Request asks for one operation. What an operation takes and needs is in the table of operations.
type Request struct {
	Op        Op            `json:"-"`
	Selectors []Selector    `json:"selectors,omitempty"` // the jobs meant, or the dead letters of those jobs
	All       bool          `json:"all,omitempty"`       // every job, or every dead letter, that the peer may touch
	IDs       []aem.EventID `json:"ids,omitempty"`       // dead letters
	Topic     string        `json:"topic,omitempty"`     // emit: APP/NAME
	Wait      bool          `json:"wait,omitempty"`      // emit: answer when every activation has its fate
	Apps      []string      `json:"apps,omitempty"`      // usage: names, or patterns in the style of path.Match
	Data      []byte        `json:"-"`                   // emit: the event's data

	Priority *aem.Priority  `json:"priority,omitempty"`   // priority: the new one
	Timeout  *time.Duration `json:"timeout_ns,omitempty"` // timeout: of each attempt; 0 none
	Since    uint64         `json:"since,omitempty"`      // watch: the Next of the answer before
}

// given is what the request carries.
func (r Request) given() argument {
	var set argument
	for bit, there := range map[argument]bool{
		argSelectors: len(r.Selectors) > 0,
		argAll:       r.All,
		argIDs:       len(r.IDs) > 0,
		argTopic:     r.Topic != "",
		argWait:      r.Wait,
		argData:      len(r.Data) > 0,
		argPriority:  r.Priority != nil,
		argTimeout:   r.Timeout != nil,
		argSince:     r.Since != 0,
		argApps:      len(r.Apps) > 0,
	} {
		if there {
			set |= bit
		}
	}
	return set
}

// argumentNames are the words for arguments, in the order they are complained about.
var argumentNames = []struct {
	bit  argument
	name string
}{
	{argSelectors, "a selector"}, {argAll, "all"}, {argIDs, "an id of a dead letter"},
	{argTopic, "a topic"}, {argWait, "wait"}, {argData, "data"},
	{argPriority, "a priority"}, {argTimeout, "a timeout"}, {argSince, "since"}, {argApps, "an app"},
}

// Check reports what makes the request impossible whatever jobs there are: as *Error, ENOSYS for an operation that is
// not there, EMSGSIZE for too much data, EINVAL for everything else.
func (r Request) Check() error {
	row, known := operations[r.Op]
	given := r.given()
	switch {
	case !known:
		return Errorf(syscall.ENOSYS, "%v: unknown", r.Op)
	case row.later:
		return Errorf(syscall.ENOSYS, "%v: not supported yet", r.Op)
	case row.needs != 0 && given&row.needs == 0:
		return Errorf(syscall.EINVAL, "%v: want %s", r.Op, row.want)
	case r.All && given&(argSelectors|argIDs|argApps) != 0:
		return Errorf(syscall.EINVAL, "%v: want --all or a selection, not both", r.Op)
	case len(r.Data) > MaxDataBytes:
		return Errorf(syscall.EMSGSIZE, "%v: %d bytes of data, at most %d", r.Op, len(r.Data), MaxDataBytes)
	}
	for _, a := range argumentNames {
		if given&^row.takes&a.bit != 0 {
			return Errorf(syscall.EINVAL, "%v: takes no %s", r.Op, strings.TrimPrefix(a.name, "a "))
		}
	}
	switch {
	case r.Topic != "":
		return checkTopic(r.Topic)
	case r.Op == OpPriority && (r.Priority == nil || *r.Priority >= aem.PriorityLevels):
		return Errorf(syscall.EINVAL, "priority: want one of 0 to %d", aem.PriorityLevels-1)
	case r.Op == OpTimeout && (r.Timeout == nil || *r.Timeout < 0):
		return Errorf(syscall.EINVAL, "timeout: want a time, or none")
	}
	for _, app := range r.Apps {
		if err := checkPattern(app); err != nil || app == "" {
			return Errorf(syscall.EINVAL, "%v: app %q: want a name or a pattern", r.Op, app)
		}
	}
	return nil
}

// MeansApp reports whether the request means an app; one that names none means all.
func (r Request) MeansApp(name string) bool {
	return len(r.Apps) == 0 || slices.ContainsFunc(r.Apps, func(pattern string) bool { return match(pattern, name) })
}

func checkTopic(topic string) error {
	app, name, ok := strings.Cut(topic, "/")
	if !ok || aem.CheckName(app) != nil || aem.CheckName(name) != nil {
		return Errorf(syscall.EINVAL, "emit: topic %q: want APP/TOPIC", topic)
	}
	return nil
}

// message is the request as it travels.
func (r Request) message(sequence uint32) (message, error) {
	args, err := json.Marshal(r)
	if err != nil {
		return message{}, fmt.Errorf("encode %v: %w", r.Op, err)
	}
	return message{kind: kindRequest, op: r.Op, sequence: sequence, args: args, data: r.Data}, nil
}

// request reads a message as a request, refusing arguments that this version does not know: ignoring one could mean
// doing more than was asked.
func (m message) request() (Request, error) {
	r := Request{Op: m.op, Data: m.data}
	if m.kind != kindRequest {
		return r, Errorf(syscall.EPROTO, "message of kind %d: want a request", m.kind)
	}
	if len(m.args) == 0 {
		return r, r.Check()
	}
	d := json.NewDecoder(bytes.NewReader(m.args))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, Errorf(syscall.EINVAL, "%v: read arguments: %v", m.op, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return r, Errorf(syscall.EINVAL, "%v: read arguments: text after the object", m.op)
	}
	return r, r.Check()
}
