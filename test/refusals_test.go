package test

import (
	"strings"
	"testing"
)

// TestHostRefuses_R080 asks a host for what it does not permit: the app does not start, and is told why where it asked.
func TestHostRefuses_R080(t *testing.T) {
	for _, c := range []struct {
		name     string
		who      user
		app, say string // in the file, and about it
	}{
		{"nice", nobody(), handlerKey("nice = -5"), "app.a.handler.h: make process: nice: permission denied (want CAP_SYS_NICE or a higher RLIMIT_NICE)"},
		{"ioprio", nobody(), handlerKey(`ioprio = "realtime:0"`), "app.a.handler.h: make process: ioprio: operation not permitted (want CAP_SYS_NICE)"},
		{"oom_score_adj", nobody(), handlerKey("oom_score_adj = -1000"), "app.a.handler.h: make process: oom_score_adj: permission denied (want CAP_SYS_RESOURCE)"},
		{"affinity", nobody(), handlerKey("affinity = [0, 1023]"), "app.a.handler.h: compile /bin/true: set affinity: of these 2 CPUs only 1 may be used here"},
		{"rlimits", nobody(), handlerKey("rlimits = { nofile = 1000000000 }"), "app.a.handler.h: make process: prlimit: operation not permitted (want CAP_SYS_RESOURCE)"},
		{"realtime", nobody(), "[app.a.handler.h]\nagent = \"thread\"\ncall = \"log\"\nrealtime = 98\n", "app.a.handler.h: set realtime priority 98: operation not permitted (CAP_SYS_NICE or RLIMIT_RTPRIO"},
		{"user", nobody(), "[app.a]\nuser = \"daemon\"\n" + handlerKey(""), "app.a.handler.h: make process: setgroups: operation not permitted (want root, to run as another user or with other groups)"},
		{"program", nobody(), "[app.a.handler.h]\nexec = [\"/no/such/program\"]\nhandover = \"none\"", "app.a.handler.h: find program /no/such/program: no such file or directory"},
		{"leave", myself(), "[app.a.policy]\nnamespaces = [\"pid\"]\n" + handlerKey(`leftover = "leave"`), `app.a.policy.namespaces: leftover = "leave" does not go with a pid namespace`},
		{"capabilities", nobody(), "[app.a.policy]\ncapabilities = [\"net_admin\"]\n" + handlerKey(""), "app.a.policy.capabilities: keep capability net_admin: the supervisor does not have it"},
		{"namespaces", nobody(), "[app.a.policy]\nnamespaces = [\"net\"]\n" + handlerKey(""), "app.a.policy.namespaces: make namespaces: make process: clone3: operation not permitted (want CAP_SYS_ADMIN for namespaces of its own)"},
		{"read_only", nobody(), "[app.a.policy]\nread_only = true\n" + handlerKey(""), "app.a.policy.namespaces: make namespaces: make process: clone3: operation not permitted"},
		{"paths", nobody(), "[app.a.policy]\npaths.read = [\"/no/such/path\"]\n" + handlerKey(""), "app.a.policy: allow /no/such/path: no such file or directory"},
		{"read-only path", myself(), "[app.a.policy]\nread_only = true\npaths.write = [\"/no/such/path\"]\n" + handlerKey(""), "app.a.policy.namespaces: make namespaces: make process: mount /no/such/path: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := prepare(t, c.who, c.app)
			if status, out := s.output("check"); status != 1 || !strings.Contains(out, c.say) || !strings.HasSuffix(out, "\n1 error\n") {
				t.Errorf("check ends with %d and says\n%swant\n%s", status, out, c.say)
			}
			if status, _ := s.output("run"); status != 1 {
				t.Errorf("run ends with %d", status)
			}
		})
	}
}

// handlerKey is an app with one handler that states a key.
func handlerKey(line string) string {
	return "[app.a.handler.h]\nexec = [\"/bin/true\"]\nhandover = \"none\"\n" + line + "\n"
}
