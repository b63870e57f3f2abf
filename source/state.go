package source

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sockstate"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var stateType = Type{
	Name: "socket.state",
	Facts: []Field{
		{"local", aem.FactText, "the socket's own address; its port is 0 before it has one"},
		{"peer", aem.FactText, "the other end's"},
		{"old", aem.FactText, "the state before, as `SYN_SENT`"},
		{"new", aem.FactText, "the state now, as `ESTABLISHED`; `overflow` where changes were lost"},
		{"socket", aem.FactNumber, "the same for all changes of one socket"},
		{"netns", aem.FactNumber, "its network namespace, as `/proc/self/ns/net` has it"},
		{"at", aem.FactTime, "when it changed"},
		{"lost", aem.FactNumber, "with `overflow`: how many changes, of this job or of others"},
	},
	Kernel: "the tracepoint sock:inet_sock_set_state, through BPF (man 2 bpf): the kernel's types, and the capabilities BPF and PERFMON",
	Linux:  "5.12",
	Probe:  sockstate.Check,
	Open:   func(e Env) Source { return newStates(e) },
}

// State asks for an event for each change of state of a TCP socket of this host, of whatever process.
type State struct {
	Ports     []uint16          // of either end; nil: all
	Addresses []netip.Prefix    // of either end; nil: all
	To        []sockstate.State // the new state; nil: all
}

// Type is "socket.state".
func (State) Type() string { return "socket.state" }

func (s State) check() error {
	if slices.Contains(s.Ports, 0) {
		return errors.New("no socket has port 0")
	}
	return nil
}

// meets reports whether a change is one that is asked for.
func (s State) meets(c *sockstate.Change) bool {
	in := func(ip netip.Addr) bool {
		return slices.ContainsFunc(s.Addresses, func(p netip.Prefix) bool { return p.Contains(ip) })
	}
	return (s.To == nil || slices.Contains(s.To, c.New)) &&
		(s.Ports == nil || slices.Contains(s.Ports, c.Local.Port()) || slices.Contains(s.Ports, c.Peer.Port())) &&
		(s.Addresses == nil || in(c.Local.Addr()) || in(c.Peer.Addr()))
}

// stateBatch is how many changes are read in one turn.
const stateBatch = 256

// states is the source of type socket.state: one program in the kernel for all jobs, which knows the ports that any of them
// asks for. It is there while a job is started.
type states struct {
	shared[sockstate.Change]
	tracer  *sockstate.Tracer
	changes []sockstate.Change
}

func newStates(e Env) *states {
	s := &states{}
	s.shared = newShared(e, s, s.found)
	return s
}

func (s *states) open() (fd int, err error) {
	if s.tracer, err = sockstate.Open(); err != nil {
		return 0, err
	}
	return s.tracer.FD(), nil
}

func (s *states) shut() {
	s.tracer.Close()
	s.tracer = nil
}

// want tells the kernel which ports any job asks for.
func (s *states) want() error {
	ports := []uint16{}
	for j := range s.started() {
		wanted := j.spec.(State).Ports
		if wanted == nil {
			return s.tracer.Want(nil)
		}
		ports = append(ports, wanted...)
	}
	slices.Sort(ports)
	return s.tracer.Want(slices.Compact(ports))
}

// Ready reads one batch.
func (s *states) Ready(uint32) {
	changes, lost, err := s.tracer.Read(s.changes[:0], stateBatch)
	s.changes = changes
	if err != nil {
		s.env.Log.Error("changes of sockets cannot be read", "err", err)
	}
	s.tell(changes, int64(lost), func(spec Spec, c *sockstate.Change) bool { return spec.(State).meets(c) })
}

func (s *states) found(j *entry[sockstate.Change], c sockstate.Change, lost int64) {
	local, peer, old, next := c.Local.String(), c.Peer.String(), c.Old.String(), c.New.String()
	if lost > 0 {
		local, peer, old, next, c.Time = "", "", "", "overflow", sys.Monotonic()
	}
	e := s.env.Sink.NewEvent("socket.state")
	at := time.Now().UnixNano() - (sys.Monotonic() - c.Time)
	e.Facts = []aem.Fact{
		{Name: "local", Value: local}, {Name: "peer", Value: peer}, {Name: "old", Value: old}, {Name: "new", Value: next},
		aem.NumberFact("socket", int64(c.Socket)), aem.NumberFact("netns", int64(c.Netns)), aem.TimeFact("at", at), aem.NumberFact("lost", lost),
	}
	e.Lost = lost
	s.env.Sink.Detected(j.id, e)
}
