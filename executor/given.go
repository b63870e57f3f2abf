package executor

import (
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// given is the connection to the control server that a process is made with. It belongs to the lane.
type given struct{ theirs, ours int }

// connect puts a connection among what the process inherits, if its handler is to have one.
func (p *process) connect(v *spawn.Vars) (*given, error) {
	if !p.crew.pool.spec.Control {
		return nil, nil
	}
	pair, err := sys.SeqpacketPair()
	if err != nil {
		return nil, err
	}
	for len(v.FDs) < control.Given {
		v.FDs = append(v.FDs, -1)
	}
	v.FDs = append(v.FDs, pair[0])
	return &given{pair[0], pair[1]}, nil
}

// settle lets go of the process's end, and has ours served if the process was made.
func (g *given) settle(w *Workplace, child spawn.Child, made bool) {
	if g == nil {
		return
	}
	sys.Close(g.theirs)
	if !made {
		sys.Close(g.ours)
		return
	}
	pidfd, err := sys.Dup(child.PIDFD, 0)
	if err != nil {
		sys.Close(g.ours)
	} else {
		err = w.Admit(g.ours, pidfd, child.PID)
	}
	if err != nil { // which the process sees as the end of its connection
		w.Log.Error("cannot serve a handler's connection", "app", w.App, "pid", child.PID, "err", err)
	}
}

// directEnvironment is what tells a handler of direct what it is given.
func (s *Spec) directEnvironment(o directcopy.Options) []string {
	env := o.Environment()
	if s.Control {
		env = append(env, control.GivenEnvironment())
	}
	return env
}
