package limits

import "testing"

func TestAllowsType_R102(t *testing.T) {
	for _, c := range []struct {
		types []string
		t     string
		want  bool
	}{
		{nil, "timer", true},
		{[]string{"timer"}, "timer", true},
		{[]string{"timer"}, "timers", false},
		{[]string{"socket.*"}, "socket.accept", true},
		{[]string{"socket.*"}, "socket", false},
		{[]string{"socket.*", "file"}, "file", true},
		{[]string{"*"}, "process.exit", true},
		{[]string{"[", "file"}, "file", true},
		{[]string{"["}, "[", false},
	} {
		if got := (Limits{Types: c.types}).AllowsType(c.t); got != c.want {
			t.Errorf("types %q allow %q: %v, want %v", c.types, c.t, got, c.want)
		}
	}
}

func TestAllowsAgent_R103(t *testing.T) {
	for _, c := range []struct {
		agents []string
		agent  string
		want   bool
	}{
		{nil, "thread", true},
		{[]string{"callback", "process"}, "process", true},
		{[]string{"callback", "process"}, "thread", false},
		{[]string{"*"}, "thread", false},
	} {
		if got := (Limits{Agents: c.agents}).AllowsAgent(c.agent); got != c.want {
			t.Errorf("agents %q allow %q: %v, want %v", c.agents, c.agent, got, c.want)
		}
	}
}

func TestNeedsCgroup(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   bool
	}{
		{Limits{}, false},
		{Limits{Jobs: 1, Activations: 1, QueueBytes: 1, PriorityMax: 1, Swap: 1}, false},
		{Limits{Memory: 1, Swap: -1}, true},
		{Limits{PIDs: 1}, true},
		{Limits{CPU: 0.1}, true},
		{Limits{Kill: true}, true},
	} {
		if got := c.limits.NeedsCgroup(); got != c.want {
			t.Errorf("%+v needs a cgroup: %v, want %v", c.limits, got, c.want)
		}
	}
}
