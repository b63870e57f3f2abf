package config

import "github.com/aem-exec/aem-exec/source"

// exitKinds are the keys that say which processes, of which an event has one.
var exitKinds = []string{"pid", "pidfile", "exe", "cgroup"}

const exitType = "process.exit"

func exitEvent(e *event) eventType {
	oneOf := []any{}
	for _, key := range exitKinds {
		oneOf = append(oneOf, needs(key))
	}
	x := &e.exit
	return eventType{
		name: exitType, doc: "A process ends, be it a child or not. Exactly one of `pid`, `pidfile`, `exe` and `cgroup`.",
		spec: func() source.Spec { return e.exit }, rules: object{"oneOf": oneOf},
		keys: []key{
			{"pid", count(&x.PID, 1, 1<<22), nil, "One process that is there. Its number used again is another one. One that is not there is told at once, as `unknown`."},
			{"pidfile", text(&x.PIDFile), nil, "The process whose pid a file holds, and again when the file has another one: it is read every second while there is none. Relative to this file."},
			{"exe", text(&x.Exe), nil, "Every process that runs this program: an absolute path, or a pattern as `/usr/sbin/*`. Needs root. One that ends within some 50 µs of its beginning may not be seen."},
			{"cgroup", text(&x.Cgroup), nil, "Every process in this control group or below, as `/system.slice/cron.service`: its path in any hierarchy. Needs root."},
		},
	}
}

// exit checks what is stated together, and completes it.
func (d *decoder) exit(e *event) {
	stated := 0
	for _, key := range exitKinds {
		if e.stated[key] != nil {
			stated++
		}
	}
	e.exit.PIDFile = d.absolute(e.exit.PIDFile)
	switch {
	case stated != 1:
		d.errorf(e.at, "process.exit wants exactly one of pid, pidfile, exe, cgroup")
	case e.exit == source.ProcessExit{}: // refused already
	default:
		if err := source.Check(e.exit); err != nil {
			d.errorf(e.at, "%v", err)
		}
	}
}
