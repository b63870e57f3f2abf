package config

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/policy"
)

// handler is one declared handler while it is read.
type handler struct {
	executor.Spec
	at     string         // its table in the file
	stated map[string]any // as the file has it
	facts  []string       // that its texts name
	used   bool
}

// sizes are the defaults of size.
var sizes = map[executor.Life]int{executor.Capsule: 4, executor.Resident: 1, executor.Zygote: 1}

// handler reads the handler name at its table and adds it to the app's.
func (d *decoder) handler(a *app, name, at string, v any) {
	h := &handler{Spec: executor.Spec{Name: name}, at: at}
	a.handlers = append(a.handlers, h)
	if h.stated = d.rows(at, v, handlerKeys(&h.Spec)); h.stated == nil {
		return // no table
	}
	if h.states("size") && sizes[h.Life] == 0 && h.Life != "" {
		d.errorIn(at, "size", "size is for capsule and resident: use concurrency")
	}
	if h.Agent == executor.Callback {
		d.refuse(h, schedulingKeys(&h.Spec), "process and thread")
	}
	if h.Agent != executor.Thread {
		d.refuse(h, threadKeys(&h.Spec), "thread")
	}
	switch h.Agent {
	case executor.Process:
		d.process(h)
	case executor.Callback, executor.Thread:
		d.function(a, h)
	}
	for key, p := range map[string]*policy.Profile{"seccomp": a.Seccomp, "seccomp_ready": a.SeccompReady} {
		if h.Life == executor.Zygote && p != nil && p.Name == policy.Handler {
			d.errorIn(at, "life", "life zygote forks for each event, which %s = \"handler\" forbids", key)
		}
	}
	d.growing(h, "backoff", h.Backoff)
	d.growing(h, "restart", h.Restart)
	d.arena(h)
}

// arena checks that what is said of it goes together.
func (d *decoder) arena(h *handler) {
	stated, _ := h.stated["arena"].(map[string]any)
	_, statesMax := stated["max"]
	switch {
	case h.Alloc == executor.AppAlloc && h.Life == executor.Zygote:
		d.errorIn(h.at+".arena", "alloc", "alloc app does not go with life zygote: each copy has its event where the zygote got it")
	case statesMax && h.Alloc == executor.AppAlloc:
		d.errorIn(h.at+".arena", "max", "max is for alloc = \"supervisor\": an arena that the handler manages does not grow")
	case h.Alloc != executor.AppAlloc && h.ArenaMax < h.ArenaSize && h.ArenaMax > 0:
		d.errorIn(h.at+".arena", "max", "max is less than size")
	}
}

func (h *handler) states(key string) bool {
	_, ok := h.stated[key]
	return ok
}

// growing checks that a wait can grow.
func (d *decoder) growing(h *handler, key string, b executor.Backoff) {
	if b.Max < b.First && b.Max > 0 {
		d.errorIn(join(h.at, key), "max", "max is less than first")
	}
}

// refuse tells of stated keys that are for other agents.
func (d *decoder) refuse(h *handler, rows []key, agents string) {
	for _, k := range rows {
		if h.states(k.name) && k.name != "size" { // which has a reason of its own
			d.errorIn(h.at, k.name, "%s is for %s", k.name, agents)
		}
	}
}

// process checks the keys of a program and completes them.
func (d *decoder) process(h *handler) {
	d.refuse(h, functionKeys(&h.Spec), "callback and thread")
	switch {
	case !h.states("handover"):
		d.errorf(h.at, "handover is missing (direct: uses our SDK; socket: the connection on stdin and stdout; "+
			"stdin: the event as JSON; data: its bytes; none)")
	case h.Handover != "" && h.Handover != executor.Direct && sizes[h.Life] != 0:
		d.errorIn(h.at, "handover", "handover %s goes with life cold only: %s wants direct", h.Handover, h.Life)
	}
	if h.Control && (h.Handover != executor.Direct && h.Handover != "" || h.Life == executor.Zygote) {
		d.errorIn(h.at, "control", "control is for handover direct, and not for life zygote: its copies would all have the same connection")
	}
	if h.Size == 0 {
		h.Size = sizes[h.Life]
	}
	h.LeftoverSet = h.states("leftover")
	if h.Dir = d.absolute(h.Dir); h.Dir == "" {
		h.Dir = d.dir
	}
	d.command(h)
}

// command checks program and arguments.
func (d *decoder) command(h *handler) {
	if len(h.Exec) == 0 || h.Exec[0] == "" {
		if h.Exec != nil || !h.states("exec") { // else its value was refused already
			d.errorIn(h.at, "exec", "exec is missing: the program and its arguments")
		}
		return
	}
	options := true // a program reads them until "--"
	for i, arg := range h.Exec {
		t, ok := d.template(h, "exec", arg)
		switch {
		case ok && i == 0 && len(t.Names()) > 0:
			d.errorf(join(h.at, "exec"), "the program cannot come from a fact")
		case ok && i > 0 && options && t.LeadingFact() != "":
			d.warnf(join(h.at, "exec"), `{%s} could become an option: put "--" before it`, t.LeadingFact())
		}
		options = options && arg != "--"
	}
	if isPath(h.Exec[0]) && !filepath.IsAbs(h.Exec[0]) {
		// The folder's own braces are no placeholders.
		h.Exec[0] = filepath.Join(strings.ReplaceAll(d.dir, "{", "{{"), h.Exec[0])
	}
}

// template reads text with facts in it, which stands at a key of the handler.
func (d *decoder) template(h *handler, key, text string) (t executor.Template, ok bool) {
	at := h.at + "." + key
	t, err := executor.ParseTemplate(text)
	if err != nil {
		d.errorf(at, "%v", err)
		return t, false
	}
	known, reserved := factNames()
	for _, name := range t.Names() {
		switch {
		case slices.Contains(known, name):
			h.facts = append(h.facts, name)
		case slices.Contains(reserved, name):
			d.errorf(at, "fact {%s} is %s", name, laterName)
		default:
			d.errorf(at, "unknown fact {%s}%s", name, suggest(name, known))
		}
	}
	return t, true
}

// factNames are the facts of every type and those of single ones.
func factNames() (known, reserved []string) {
	known = commonFacts()
	for _, t := range eventTypes(new(event)) {
		if t.spec == nil {
			reserved = append(reserved, t.factNames()...)
			continue
		}
		known = append(known, t.factNames()...)
	}
	return known, reserved
}
