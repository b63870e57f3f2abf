package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// Registration asks for jobs of one event. Event has the keys of [app.NAME.event.EVENT] in the file, but for the handler's,
// as {"type": "timer", "every": "1s"}; without "start" they are born stopped.
type Registration struct {
	Name    string
	Event   map[string]any
	Count   int  // of jobs; 0: one
	Inherit bool // programs that this one forks, and that attach with its Token, have them too
	Do      Func

	// Socket is one of the program's own, for {"type": "socket.ready"}, and On what it is waited for: in, out, hup; nil: in.
	// The program goes on having it. Its events bring no socket, and have the fact conditions.
	Socket syscall.Conn
	On     []string
}

// Register makes a job of an event that f handles. Each has an id of its own, also those of the same event.
func (a *Agent) Register(ctx context.Context, name string, event map[string]any, f Func) (aem.JobID, error) {
	ids, err := a.RegisterAll(ctx, Registration{Name: name, Event: event, Do: f})
	if err != nil {
		return 0, err
	}
	return ids[0][0], nil
}

// RegisterAll makes the jobs of several registrations, at most control.MaxJobsAtOnce, or none of them.
func (a *Agent) RegisterAll(ctx context.Context, all ...Registration) ([][]aem.JobID, error) {
	req := control.Request{Op: control.OpRegister, Events: make([]control.Registration, len(all))}
	for i, r := range all {
		table, err := json.Marshal(r.Event)
		if err != nil {
			return nil, fmt.Errorf("register %s: %w", r.Name, err)
		}
		req.Events[i] = control.Registration{Name: r.Name, Event: table, Count: r.Count, Inherit: r.Inherit, Conditions: r.On}
		if r.Socket == nil {
			continue
		}
		fd, err := copyOf(r.Socket)
		if err != nil {
			return nil, fmt.Errorf("register %s: %w", r.Name, err)
		}
		defer sys.Close(fd) //nolint:errcheck // it was sent, or is not wanted
		place := len(req.FDs)
		req.FDs, req.Events[i].Socket = append(req.FDs, fd), &place
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	reply, err := a.client.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	registered, err := control.ResultOf[control.Registered](reply)
	if err != nil {
		return nil, err
	}
	if len(registered.IDs) != len(all) {
		return nil, fmt.Errorf("register: ids of %d registrations, want those of %d", len(registered.IDs), len(all))
	}
	for i, ids := range registered.IDs {
		if len(ids) != max(1, all[i].Count) {
			return nil, fmt.Errorf("register %s: %d ids, want %d", all[i].Name, len(ids), max(1, all[i].Count))
		}
		for _, id := range ids {
			a.handlers[id] = all[i].Do
		}
	}
	return registered.IDs, nil
}

// copyOf is a copy of a socket's descriptor.
func copyOf(socket syscall.Conn) (fd int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	if ctlErr := raw.Control(func(own uintptr) { fd, err = sys.Dup(int(own), 0) }); ctlErr != nil {
		return -1, ctlErr
	}
	return fd, err
}

// Handle has f handle the events of a job that this program has not registered itself, but inherited.
func (a *Agent) Handle(id aem.JobID, f Func) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handlers[id] = f
}

// Start has jobs detect; Stop ends that, and what waits of them stays; Remove ends them for good, and what waits of them
// is shed. All are there, or nothing is done.
func (a *Agent) Start(ctx context.Context, ids ...aem.JobID) error {
	return a.each(ctx, control.OpStart, ids)
}

// Stop is described at Start.
func (a *Agent) Stop(ctx context.Context, ids ...aem.JobID) error {
	return a.each(ctx, control.OpStop, ids)
}

// Remove is described at Start.
func (a *Agent) Remove(ctx context.Context, ids ...aem.JobID) error {
	err := a.each(ctx, control.OpRemove, ids)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, id := range ids {
			delete(a.handlers, id)
		}
	}
	return err
}

func (a *Agent) each(ctx context.Context, op control.Op, ids []aem.JobID) error {
	req := control.Request{Op: op, Quiet: true, Selectors: make([]control.Selector, len(ids))}
	for i, id := range ids {
		req.Selectors[i].ID = id
	}
	_, err := a.Do(ctx, req)
	return err
}

// Do asks the supervisor for any other operation, as package control has them.
func (a *Agent) Do(ctx context.Context, req control.Request) (control.Reply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.client.Do(ctx, req)
}
