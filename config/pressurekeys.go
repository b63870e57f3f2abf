package config

import (
	"errors"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/source"
)

const pressureType = "pressure"

func pressureEvent(e *event) eventType {
	p := &e.pressure
	return eventType{
		name: pressureType, doc: "Tasks lose time because there is too little of a resource. Exactly one of `some` and `all`.",
		spec:  func() source.Spec { return e.pressure },
		rules: object{"required": []string{"resource"}, "oneOf": []any{needs("some"), needs("all")}},
		keys: []key{
			{"resource", choice(&p.Resource, source.Resources), nil, "Of what. Required."},
			{"some", threshold(&p.Some), nil, "How much time, within which, is too much while at least one task waits: as `\"150ms/2s\"`. The second is 500 ms to 10 s, and a multiple of 2 s for who lacks CAP_SYS_RESOURCE. It is told once in that time at most."},
			{"all", threshold(&p.All), nil, "The same for time in which no task gets on, which the kernel calls `full`."},
			{"clear", duration(&p.Clear, time.Second), nil, "When that has not come for so long, it is over: then one event tells the beginning, and one the end. Default: each time is told, no end."},
			{"cgroup", text(&p.Cgroup), nil, "Of the tasks in this control group only, as `/system.slice/db.service`: its path in the hierarchy of v2; or in the app's, `own`. Default: all tasks."},
		},
	}
}

// pressure checks what is stated together.
func (d *decoder) pressure(e *event) {
	d.required(e, "resource")
	if e.pressure.Resource == "" {
		return // refused already
	}
	bad := func(key string, t source.Threshold) bool { return e.stated[key] != nil && t == source.Threshold{} }
	if bad("some", e.pressure.Some) || bad("all", e.pressure.All) {
		return // likewise
	}
	if err := source.Check(e.pressure); err != nil {
		d.errorf(e.at, "%v", err)
	}
}

// threshold is a time within another.
func threshold(p *source.Threshold) kind {
	schema := object{"type": "string", "pattern": `^([0-9]*\.?[0-9]*(s|ms|us|µs))+/([0-9]*\.?[0-9]*(s|ms))+$`}
	return kind{name: "duration/duration", schema: schema, read: func(v any) error {
		s, _ := v.(string)
		part, whole, ok := strings.Cut(s, "/")
		lost, err := ParseDuration(part)
		window, werr := ParseDuration(whole)
		if !ok || err != nil || werr != nil || lost <= 0 || window <= 0 {
			return errors.New(`want a time within another, like "150ms/2s"`)
		}
		*p = source.Threshold{Lost: lost, Window: window}
		return nil
	}}
}
