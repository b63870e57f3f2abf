package executor

import (
	"net/netip"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// defaultPath is the PATH of handlers, whoever started the supervisor.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// inherited are the variables of the supervisor that every handler sees.
var inherited = []string{"LANG", "TZ"}

// environ is what all processes of a handler have in common: who it runs as, what the app wrote, what it passes on.
func (s *Spec) environ(who Account) []string {
	vars := map[string]string{
		"PATH": defaultPath, "HOME": who.Home, "USER": who.Name, "LOGNAME": who.Name, "SHELL": who.Shell,
	}
	for _, name := range append(inherited, s.PassEnv...) {
		if value, ok := os.LookupEnv(name); ok {
			vars[name] = value
		}
	}
	for name, value := range s.Env {
		vars[name] = value
	}
	env := make([]string, 0, len(vars))
	for name, value := range vars {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	sort.Strings(env)
	return env
}

// path is the PATH that a bare program name is looked up in.
func (s *Spec) path() string {
	if path, ok := s.Env["PATH"]; ok {
		return path
	}
	if path, ok := os.LookupEnv("PATH"); ok && slices.Contains(s.PassEnv, "PATH") {
		return path
	}
	return defaultPath
}

// facts looks up the facts that every event has, and then those of its type.
func facts(app, handler string, a *aem.Activation) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		switch name {
		case "app":
			return app, true
		case "event":
			return a.Name, true
		case "handler":
			return handler, true
		case "id":
			return a.Event.ID.String(), true
		case "type":
			return a.Event.Type, true
		case "attempt":
			return strconv.FormatUint(uint64(a.Attempt), 10), true
		case "count":
			return strconv.FormatUint(uint64(a.Event.Count), 10), true
		case "time":
			return a.Event.Time.Format(time.RFC3339Nano), true
		case "last":
			return lastOf(a.Event).Format(time.RFC3339Nano), true
		}
		return a.Event.Fact(name)
	}
}

// lastOf is when the last arrival in an event was detected.
func lastOf(e *aem.Event) time.Time {
	if e.Last.IsZero() {
		return e.Time
	}
	return e.Last
}

// factVars are the AEM_* variables of a process that is made for one event.
func factVars(env []string, lookup func(string) (string, bool), e *aem.Event) []string {
	for _, f := range source.Common {
		value, _ := lookup(f.Name)
		env = append(env, factVar(f.Name, value))
	}
	for i := range e.Facts {
		env = append(env, factVar(e.Facts[i].Name, e.Facts[i].Text()))
	}
	return env
}

func factVar(name, value string) string { return "AEM_" + strings.ToUpper(name) + "=" + value }

// connectionVars are the variables of a program that has the connection on descriptors 0 and 1: those of UCSPI
// (tcp-environ(5), s6-ipcserver) and REMOTE_* of inetd's descendants. What is not known has no variable.
func connectionVars(env []string, e *aem.Event) []string {
	peer, _ := e.Fact("peer")
	local, _ := e.Fact("local")
	if path, ok := strings.CutPrefix(peer, "unix:"); ok {
		env = append(env, "PROTO=IPC", "IPCLOCALPATH="+strings.TrimPrefix(local, "unix:"))
		if path != "" {
			env = append(env, "IPCREMOTEPATH="+path)
		}
		if uid, gid, err := sys.PeerOwner(e.FD); err == nil {
			env = append(env, "IPCREMOTEEUID="+itoa(uid), "IPCREMOTEEGID="+itoa(gid))
		}
		return env
	}
	there, terr := netip.ParseAddrPort(peer)
	here, herr := netip.ParseAddrPort(local)
	if terr != nil || herr != nil {
		return env
	}
	ip, port := there.Addr().String(), strconv.Itoa(int(there.Port()))
	return append(env, "PROTO=TCP",
		"TCPREMOTEIP="+ip, "TCPREMOTEPORT="+port,
		"TCPLOCALIP="+here.Addr().String(), "TCPLOCALPORT="+strconv.Itoa(int(here.Port())),
		"REMOTE_ADDR="+ip, "REMOTE_PORT="+port, "REMOTE_HOST="+ip)
}

// listenVars are the variables of a program that has the socket on descriptor 3, as systemd sets them (man 3 sd_listen_fds;
// for a connection, Accept= of man 5 systemd.socket): LISTEN_PID is written by the process itself.
func listenVars(env []string, a *aem.Activation) []string {
	name := a.Name
	if peer, ok := a.Event.Fact("peer"); ok {
		name = "connection"
		if there, err := netip.ParseAddrPort(peer); err == nil {
			env = append(env, "REMOTE_ADDR="+there.Addr().String(), "REMOTE_PORT="+strconv.Itoa(int(there.Port())))
		}
	}
	return append(env, "LISTEN_FDS=1", "LISTEN_FDNAMES="+name)
}
