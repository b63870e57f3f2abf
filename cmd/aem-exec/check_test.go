package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const goodFile = `
[app.shop.handler.say]
agent = "callback"
call = "log"
[app.shop.event.tick]
type = "timer"
every = "1s"
handler = "say"
[app.shop.event.order]
type = "topic"
handler = "say"
`

func TestCheckOffline(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, row := range []struct {
		name, text string
		status     int
		first      string // how stdout begins
		last       string // its last line
	}{
		{"good", goodFile, 0, "aem.toml: ok, 2 jobs in 1 app", "aem.toml: ok, 2 jobs in 1 app"},
		{"one error", strings.Replace(goodFile, `"1s"`, `2`, 1), 2, "aem.toml:7: app.shop.event.tick", "1 error"},
		{"no TOML", "x = [", 2, "aem.toml:1: ", "1 error"},
	} {
		if err := os.WriteFile("aem.toml", []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, stdout, stderr := command(t, "", "check", "--offline")
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if status != row.status || !strings.HasPrefix(lines[0], row.first) || lines[len(lines)-1] != row.last {
			t.Errorf("%s: %d, %q", row.name, status, stdout)
		}
		if stderr != "configuration: aem.toml\n" {
			t.Errorf("%s: stderr %q", row.name, stderr)
		}
		status, stdout, _ = command(t, "", "check", "--offline", "--json")
		var v verdict
		if err := json.Unmarshal([]byte(stdout), &v); err != nil || status != row.status || (len(v.Errors) > 0) != (status != 0) {
			t.Errorf("%s: --json: %d, %v, %s", row.name, status, err, stdout)
		}
	}
}
