package main

import (
	"bytes"
	"strings"
	"testing"
)

// command runs a command line as main does.
func command(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = execute(args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// TestUsageErrors looks at the command lines that cannot be followed: status 2, nothing on stdout, the reason on
// stderr, whether there is a supervisor or not.
func TestUsageErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, row := range []struct{ args, want string }{
		{"", "want a verb; see aem-exec --help"},
		{"rum", `unknown verb "rum" (did you mean run?); see aem-exec --help`},
		{"ctl", "want a verb; see aem-exec ctl --help"},
		{"ctl lits", `unknown verb "lits" (did you mean list?); see aem-exec ctl --help`},
		{"ctl dead", "want a verb; see aem-exec ctl dead --help"},
		{"--nope", "unknown flag: --nope"},
		{"run extra", `unknown command "extra" for "aem-exec run"`},
		{"run --json", "unknown flag: --json"},
		{"emit", "accepts 1 arg(s), received 0"},
		{"emit shop", `emit: topic "shop": want APP/TOPIC`},
		{"emit a/b --data x --file y", "if any flags in the group [data file] are set none of the others can be"},
		{"ctl start", "start: want a selector (app/event, a pattern like app/*, an id like 12:7) or --all"},
		{"ctl stop --all a/b", "stop: want --all or a selection, not both"},
		{"ctl start --close a/b", "unknown flag: --close"},
		{"ctl fire shop", `parse selector "shop"`},
		{"ctl dead show 1 2", "accepts 1 arg(s), received 2"},
		{"ctl dead show a/b", "dead show: want the id of a dead letter"},
		{"ctl dead drop", "dead drop: want the id of a dead letter, a selector"},
		{"explain", "accepts 1 arg(s), received 0"},
		{"explain shop", `explain: event "shop": want APP/EVENT`},
		{"policy", "want a verb; see aem-exec policy --help"},
		{"policy show", "accepts 1 arg(s), received 0"},
		{"policy show a", "no configuration: there is no aem.toml and no"},
		{"policy learn a b", "learn: want APP or APP/EVENT, and a command after --"},
		{"policy learn a --from none.json", "read seccomp profile: open none.json"},
		{"check", "no configuration: there is no aem.toml and no"},
		{"-c none.toml run", "open none.toml: no such file or directory"},
	} {
		status, stdout, stderr := command(t, "", strings.Fields(row.args)...)
		if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "aem-exec: "+row.want) {
			t.Errorf("aem-exec %s: %d, %q, %q; want 2 and %q", row.args, status, stdout, stderr, row.want)
		}
	}
}

func TestNoSupervisor(t *testing.T) {
	dir := t.TempDir()
	status, stdout, stderr := command(t, "", "ctl", "list", "--runtime-dir", dir)
	want := "aem-exec: no supervisor at " + dir + "/control.sock (is it running? other places: "
	if status != exitAgain || stdout != "" || !strings.HasPrefix(stderr, want) {
		t.Errorf("%d, %q, %q, want 111 and %q", status, stdout, stderr, want)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if status, stdout, _ := command(t, "", "completion", shell); status != 0 || !strings.Contains(stdout, "aem-exec") {
			t.Errorf("%s: %d, %d bytes", shell, status, len(stdout))
		}
	}
}
