package supervisor

import (
	"strings"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// isNotice reports whether a type is one of what the supervisor tells of itself. Such an event never makes another one:
// neither by reaching a limit nor by failing, and what becomes of the agents that handle it stands in the log only.
func isNotice(typ string) bool { return strings.HasPrefix(typ, noticePrefix) }

const noticePrefix = "supervisor."

// notify tells of something about an app, with the type's further facts, when somebody wants to know.
func (s *Supervisor) notify(typ string, a *app, data []byte, facts ...aem.Fact) {
	if src, ok := s.sources[typ]; ok && s.phase == running {
		src.(*source.Notices).Tell(data, append([]aem.Fact{text("subject", a.spec.Name)}, facts...)...)
	}
}

func text(name, value string) aem.Fact { return aem.Fact{Name: name, Value: value} }

// notifyFailed tells of an activation that ended failed; the report of its last attempt is the event's data.
func (s *Supervisor) notifyFailed(reg *registration, a *aem.Activation, c *aem.Completion, report string) {
	if !isNotice(a.Event.Type) {
		s.notify("supervisor.failed", reg.app, []byte(report), text("job", reg.name()), text("failed", a.Event.ID.String()),
			text("reason", string(c.Reason)), aem.NumberFact("attempts", int64(a.Attempt)))
	}
}

// notifyDied tells of an attempt that its process's end was the end of, and not its answer.
func (s *Supervisor) notifyDied(reg *registration, a *aem.Activation, c *aem.Completion, h *executor.Spec, report string) {
	if died := c.Signal != "" || c.Exit >= 0 && h.Handover == executor.Direct; died && !isNotice(a.Event.Type) {
		s.notify("supervisor.died", reg.app, []byte(report), text("job", reg.name()), text("died", a.Event.ID.String()),
			text("reason", string(c.Reason)), aem.NumberFact("attempts", int64(a.Attempt)))
	}
}

// notifyAgents tells, once, that a pool's agents cannot be made, and when one is there again.
func (s *Supervisor) notifyAgents(p *executor.Pool, trouble error) {
	if (trouble != nil) == s.troubled[p] {
		return
	}
	app, state, why := s.owners[p], "up", ""
	if delete(s.troubled, p); trouble != nil {
		s.troubled[p] = true
		state, why = "down", trouble.Error()
	}
	for _, regs := range app.events {
		for _, reg := range regs {
			if reg.pool == p && isNotice(reg.spec.Source.Type()) {
				return
			}
		}
	}
	s.notify("supervisor.agent", app, nil, text("agent", p.Spec().Name), text("state", state), text("error", why))
}
