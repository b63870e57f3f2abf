package supervisor

import (
	"fmt"
	"strings"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/source"
)

// forbidden is why a peer may not register an event for an app, "" if it may.
func forbidden(app *App, peer control.Peer, spec *Registration) string {
	typ, more := spec.Source.Type(), beyond(app.Name, spec.Source)
	switch {
	case !app.Limits.AllowsType(typ):
		return fmt.Sprintf("the app may not register %s (limits.types)", typ)
	case int(spec.Priority) > app.Limits.PriorityMax:
		return fmt.Sprintf("priority %d is above the app's %d (limits.priority_max)", spec.Priority, app.Limits.PriorityMax)
	case !trusted(peer) && more != "":
		return more + " is for root, the supervisor's own user and the file"
	}
	return ""
}

// beyond is what of an event a user could not detect by himself, "" for nothing: the supervisor, which may be root, does
// not do for a program what the program may not.
func beyond(app string, spec source.Spec) string {
	own := func(name string) bool { return strings.HasPrefix(name, app+"/") }
	switch spec := spec.(type) {
	case source.Timer:
		return ""
	case source.Topic:
		if own(spec.Name) {
			return ""
		}
		return "another app's topic"
	case source.Close:
		return ""
	case source.ProcessExit:
		if spec.PID != 0 {
			return ""
		}
		return "process.exit by anything but a pid"
	case source.Accept:
		return beyondListening(spec.Listen)
	case source.Read:
		return beyondListening(spec.Listen)
	case source.Ready: // on a socket of its own, or
		return beyondListening(spec.Listen)
	case source.Notice:
		if len(spec.Apps) == 1 && spec.Apps[0] == app {
			return ""
		}
		return "what happens to other apps"
	}
	return "type " + spec.Type()
}

// firstOpenPort is the first that everybody may listen at (man 7 ip, ip_unprivileged_port_start as it is by default).
const firstOpenPort = 1024

func beyondListening(addresses []source.Address) string {
	for _, a := range addresses {
		switch {
		case a.IP.IsValid() && (a.IP.Port() == 0 || a.IP.Port() >= firstOpenPort):
		case !a.IP.IsValid() && strings.HasPrefix(a.Path, "@") && a.Scheme != "fd":
		default:
			return "listening at " + a.String()
		}
	}
	return ""
}
