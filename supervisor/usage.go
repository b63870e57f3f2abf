package supervisor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/limits"
)

// answerUsage answers with what apps use. What the supervisor counts is one snapshot; what the kernel does is read after
// it, and not on the loop: the kernel may take a while to add it up.
func (s *Supervisor) answerUsage(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	var err error = control.Errorf(syscall.ESHUTDOWN, "%v: %v", req.Op, errStopping)
	list, groups := []control.Usage{}, []*limits.Group{}
	s.ask(func() {
		var apps []*app
		if apps, err = s.appsMeant(peer, req); err != nil {
			return
		}
		for _, a := range apps {
			list, groups = append(list, a.usage()), append(groups, a.work.Group)
		}
		s.addJobs(apps, list)
	})
	if err != nil {
		return refusal(req.Op, err)
	}
	for i, group := range groups {
		u := &list[i]
		u.Cgroup = group.Figures()
		for j := range u.Limits {
			row := &u.Limits[j]
			used, peak := limits.Figured(row.Limit)
			row.Used, row.Peak = cmp.Or(row.Used, figure(u.Cgroup, used)), cmp.Or(row.Peak, figure(u.Cgroup, peak))
		}
	}
	return control.Done(list)
}

// figure is one of the kernel's, nil where it has none.
func figure(all map[string]int64, name string) *int64 {
	if n, ok := all[name]; ok {
		return &n
	}
	return nil
}

// appsMeant are the apps that a request means and its peer may act on. Naming one that is not there is refused.
func (s *Supervisor) appsMeant(peer control.Peer, req control.Request) (meant []*app, err error) {
	found := make([]bool, len(req.Apps))
	for _, a := range s.apps {
		if !s.may(peer, a) || !req.MeansApp(a.spec.Name) {
			continue
		}
		meant = append(meant, a)
		for i := range req.Apps {
			found[i] = found[i] || control.Request{Apps: req.Apps[i : i+1]}.MeansApp(a.spec.Name)
		}
	}
	if i := slices.Index(found, false); i >= 0 {
		return nil, control.Errorf(syscall.ENOENT, "%v: no such app: %s", req.Op, req.Apps[i])
	}
	return meant, nil
}

// usage is what the supervisor itself knows, without what is of each job.
func (a *app) usage() control.Usage {
	u := control.Usage{
		App: a.spec.Name, Types: a.spec.Limits.Types, Agents: a.spec.Limits.Agents,
		Held: []control.HeldJob{}, Without: append([]string{}, a.work.Group.Without()...), Waits: a.waits.shown(),
	}
	if b := a.work.Booster; b != nil {
		u.Boost = b.Calls
	}
	for _, g := range a.gauges.all() {
		row, used, peak := g.usage(), g.Used, g.Peak
		if row.Used, row.Peak = &used, &peak; g.Most > 0 {
			row.Value = g.Most
		}
		u.Limits = append(u.Limits, row)
	}
	u.Limits = append(u.Limits, control.LimitUsage{Limit: "priority_max", Value: a.spec.Limits.PriorityMax, Used: new(int64)})
	for _, v := range a.spec.Limits.Values() {
		key, _, _ := strings.Cut(v.Limit, ".")
		if slices.Contains(u.Without, key) {
			continue
		}
		row := control.LimitUsage{Limit: v.Limit}
		if g := a.gauge(v.Limit); g != nil {
			row = g.usage()
		}
		row.Value = v.Value
		u.Limits = append(u.Limits, row)
	}
	return u
}

// shownHeld bounds how many held jobs of an app are named.
const shownHeld = 64

// addJobs adds to apps' usage what their jobs have: the highest priority, and those that are held.
func (s *Supervisor) addJobs(apps []*app, list []control.Usage) {
	places := map[*app]*control.Usage{}
	for i, a := range apps {
		places[a] = &list[i]
	}
	for id := range s.jobs.all() {
		j := s.jobs.get(id)
		reg := s.jobs.registration(j)
		u := places[reg.app]
		if u == nil {
			continue
		}
		highest := u.Limits[slices.IndexFunc(u.Limits, func(l control.LimitUsage) bool { return l.Limit == "priority_max" })].Used
		*highest = max(*highest, int64(j.priority))
		if j.holds == 0 {
			continue
		}
		if u.HeldJobs++; len(u.Held) < shownHeld {
			since := time.Unix(0, s.jobs.look(j).heldSince)
			u.Held = append(u.Held, control.HeldJob{Job: reg.name(), Reason: j.holds.String(), Since: since, Kept: kept(id, reg.source)})
		}
	}
}

// usage is how often the limit was reached, and when.
func (g *gauge) usage() control.LimitUsage {
	reached := g.Reached
	row := control.LimitUsage{Limit: g.Name, Reached: &reached}
	if last := g.Last; !last.IsZero() {
		row.Last = &last
	}
	if since := g.Since; !since.IsZero() {
		row.Since = &since
	}
	return row
}
