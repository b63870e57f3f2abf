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
	FDs       []int         `json:"-"`                   // register: sockets, open until the request is answered

	Priority *aem.Priority  `json:"priority,omitempty"`   // priority: the new one
	Timeout  *time.Duration `json:"timeout_ns,omitempty"` // timeout: of each attempt; 0 none
	Filter   *string        `json:"filter,omitempty"`     // filter: an expression; "" none
	Since    uint64         `json:"since,omitempty"`      // watch: the Next of the answer before
	Close    bool           `json:"close,omitempty"`      // stop: clients are refused, and do not wait

	Own   bool `json:"own,omitempty"`   // the jobs that were registered over this connection
	Quiet bool `json:"quiet,omitempty"` // answer with how many jobs it were, and not which

	App     string          `json:"app,omitempty"`     // attach: of which the program is to be an agent
	Handler json.RawMessage `json:"handler,omitempty"` // attach: keys of [app.NAME.handler.HANDLER], see docs/control.md
	Token   string          `json:"token,omitempty"`   // attach: what the program that forked this one was given
	Events  []Registration  `json:"events,omitempty"`  // register
}

// Registration asks for jobs of one event, which the connection's program handles.
type Registration struct {
	Name    string          `json:"name"`
	Event   json.RawMessage `json:"event"`             // keys of [app.NAME.event.EVENT] but for the handler's; start is false if not stated
	Count   int             `json:"count,omitempty"`   // of jobs; 0: one
	Inherit bool            `json:"inherit,omitempty"` // programs that attach with this one's token get jobs of it, too

	// Of socket.ready on a socket of the program's own: which of the descriptors that come with the request it is, and what
	// it is waited for, of in, out and hup; nil: in.
	Socket     *int     `json:"socket,omitempty"`
	Conditions []string `json:"conditions,omitempty"`
}

// Jobs is how many jobs it asks for.
func (r *Registration) Jobs() int { return max(1, r.Count) }

// Bounds of what a program registers at once.
const (
	MaxJobsAtOnce = 1 << 16  // in one message
	MaxTableBytes = 64 << 10 // of one table, of an event or a handler
	MaxSockets    = 64       // that come with one message; further ones are dropped
	maxArgsBytes  = 16 << 20 // of a request's JSON
)

// given is what the request carries.
func (r Request) given() argument {
	var set argument
	for _, a := range [...]struct {
		bit   argument
		there bool
	}{
		{argSelectors, len(r.Selectors) > 0}, {argAll, r.All}, {argIDs, len(r.IDs) > 0}, {argTopic, r.Topic != ""},
		{argWait, r.Wait}, {argData, len(r.Data) > 0}, {argPriority, r.Priority != nil}, {argTimeout, r.Timeout != nil},
		{argSince, r.Since != 0}, {argApps, len(r.Apps) > 0}, {argOwn, r.Own}, {argQuiet, r.Quiet}, {argApp, r.App != ""},
		{argHandler, len(r.Handler) > 0}, {argToken, r.Token != ""}, {argEvents, len(r.Events) > 0},
		{argDescriptors, len(r.FDs) > 0},
		{argFilter, r.Filter != nil}, {argClose, r.Close},
	} {
		if a.there {
			set |= a.bit
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
	{argOwn, "own"}, {argQuiet, "quiet"}, {argApp, "an app"}, {argHandler, "a handler"}, {argToken, "a token"}, {argEvents, "events"},
	{argDescriptors, "descriptors"}, {argFilter, "a filter"}, {argClose, "close"},
}

// Check reports what makes the request impossible whatever jobs there are: as *Error, ENOSYS for an operation that is
// not there, EMSGSIZE for too much data, EINVAL for everything else.
func (r Request) Check() error {
	row, known := operations[r.Op]
	given := r.given()
	switch {
	case !known:
		return Errorf(syscall.ENOSYS, "%v: unknown", r.Op)
	case row.needs != 0 && given&row.needs == 0:
		return Errorf(syscall.EINVAL, "%v: want %s", r.Op, row.want)
	case r.All && given&(argSelectors|argIDs|argApps|argOwn) != 0, r.Own && len(r.Selectors) > 0:
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
	case r.Op == OpFilter && r.Filter == nil:
		return Errorf(syscall.EINVAL, "filter: want an expression, or an empty one for none")
	}
	if err := r.checkRegistrations(); err != nil {
		return err
	}
	for _, app := range r.Apps {
		if err := checkPattern(app); err != nil || app == "" {
			return Errorf(syscall.EINVAL, "%v: app %q: want a name or a pattern", r.Op, app)
		}
	}
	return nil
}

// checkRegistrations looks at how much is asked for; what it is the supervisor judges.
func (r Request) checkRegistrations() error {
	if len(r.Handler) > MaxTableBytes {
		return Errorf(syscall.EMSGSIZE, "%v: a handler of more than %d bytes", r.Op, MaxTableBytes)
	}
	jobs := 0
	for i := range r.Events {
		e := &r.Events[i]
		if err := aem.CheckName(e.Name); err != nil {
			return Errorf(syscall.EINVAL, "%v: %v", r.Op, err)
		}
		if len(e.Event) > MaxTableBytes {
			return Errorf(syscall.EMSGSIZE, "%v: %s: more than %d bytes", r.Op, e.Name, MaxTableBytes)
		}
		if e.Count < 0 || e.Count > MaxJobsAtOnce-jobs || jobs == MaxJobsAtOnce {
			return Errorf(syscall.EINVAL, "%v: %s: want 1 to %d jobs in one message", r.Op, e.Name, MaxJobsAtOnce)
		}
		switch {
		case e.Socket == nil && e.Conditions != nil:
			return Errorf(syscall.EINVAL, "%v: %s: conditions are for a socket", r.Op, e.Name)
		case e.Socket != nil && (*e.Socket < 0 || *e.Socket >= len(r.FDs)):
			return Errorf(syscall.EBADF, "%v: %s: socket %d did not come with the request", r.Op, e.Name, *e.Socket)
		case e.Socket != nil && (e.Count > 1 || e.Inherit):
			return Errorf(syscall.EINVAL, "%v: %s: a socket has one job, which is not inherited", r.Op, e.Name)
		}
		jobs += e.Jobs()
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
	args, ok := r.idsOf()
	if !ok {
		var err error
		if args, err = json.Marshal(r); err != nil {
			return message{}, fmt.Errorf("encode %v: %w", r.Op, err)
		}
	}
	return message{kind: kindRequest, op: r.Op, sequence: sequence, args: args, data: r.Data, fds: r.FDs}, nil
}

// request reads a message as a request, refusing arguments that this version does not know: ignoring one could mean
// doing more than was asked.
func (m message) request() (Request, error) {
	r := Request{Op: m.op, Data: m.data, FDs: m.fds}
	if m.kind != kindRequest {
		return r, Errorf(syscall.EPROTO, "message of kind %d: want a request", m.kind)
	}
	if len(m.args) == 0 {
		return r, r.Check()
	}
	if len(m.args) > maxArgsBytes {
		return r, Errorf(syscall.EMSGSIZE, "%v: %d bytes of arguments, at most %d", m.op, len(m.args), maxArgsBytes)
	}
	if r.readIDs(m.args) {
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
