package executor

import (
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/source"
)

// Explanation is what a process of a handler begins with, told without making one.
type Explanation struct {
	Program     string       // the file that is executed
	Args        []string     // with its name first, facts as {name}
	Env         []string     // of every process, as NAME=value
	Variables   []string     // names of those that differ from event to event
	Descriptors []Descriptor // what it has open
}

// Descriptor is one of them.
type Descriptor struct {
	FD  int
	Is  string
	End int // the last of several; FD for one
}

// outputs are descriptors 1 and 2 of most programs.
var outputs = Descriptor{1, "the log", 2}

// descriptors say what programs have open by how they get their events.
var descriptors = map[Handover][]Descriptor{
	Socket:    {{0, "the connection", 1}, {2, "the log", 2}},
	ListenFDs: {{0, "/dev/null", 0}, outputs, {3, "the event's socket", 3}},
	Stdin:     {{0, "a file with the event as one CloudEvents JSON object", 0}, outputs},
	Data:      {{0, "a file with the event's data", 0}, outputs},
	None:      {{0, "/dev/null", 0}, outputs},
	Direct:    {{0, "/dev/null", 0}, outputs, {3, "the channel to the supervisor, its page and eventfds (docs/abi.md)", 6}},
}

// connectionNames are variables of programs that have a connection, as far as it has them (see connectionVars).
var connectionNames = []string{"PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPLOCALIP", "TCPLOCALPORT", "REMOTE_ADDR", "REMOTE_PORT",
	"REMOTE_HOST", "IPCLOCALPATH", "IPCREMOTEPATH", "IPCREMOTEEUID", "IPCREMOTEEGID"}

// Explain says what a process of the handler begins with, for events that bring these facts beside the common ones. What cannot be found is an
// error, beside what can be told all the same.
func (s *Spec) Explain(who Account, facts []source.Field, second bool) (Explanation, error) {
	e := Explanation{Env: s.environ(who), Args: s.Exec, Descriptors: slices.Clone(descriptors[s.Handover])}
	program, err := FindProgram(s.Exec[0], s.path())
	if e.Program = program; program == "" {
		e.Program = s.Exec[0]
	}
	if s.Handover == Direct {
		o := directcopy.Options{Shared: s.Copy == SharedCopy, AppAlloc: s.Alloc == AppAlloc}
		if o.Shared {
			e.Descriptors = append(e.Descriptors, Descriptor{7, "the arena", 7})
		}
		if second {
			o.Filter = &directcopy.Filter{}
			e.Descriptors = append(e.Descriptors, Descriptor{directcopy.FilterDescriptor, "the second filter", directcopy.FilterDescriptor})
		}
		if s.Control {
			e.Descriptors = append(e.Descriptors, Descriptor{control.Given, "a connection to the supervisor (docs/control.md)", control.Given})
		}
		for _, variable := range s.directEnvironment(o) {
			name, _, _ := strings.Cut(variable, "=")
			e.Variables = append(e.Variables, name)
		}
	}
	if s.Life != Cold {
		return e, err
	}
	for _, f := range append(slices.Clip(source.Common), facts...) {
		name, _, _ := strings.Cut(factVar(f.Name, ""), "=")
		e.Variables = append(e.Variables, name)
	}
	switch s.Handover {
	case Socket:
		e.Variables = append(e.Variables, connectionNames...)
	case ListenFDs:
		e.Variables = append(e.Variables, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "REMOTE_ADDR", "REMOTE_PORT")
	}
	return e, err
}
