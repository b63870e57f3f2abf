package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/limits"
)

func TestResourcesStandForTheKeys(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.json": `{"memory": {"limit": 65536}, "cpu": {"quota": 50000}, "unified": {"memory.zswap.max": "0"}}`,
		"bad.json":  "{\n  \"pids\": {\"limit\": -1}\n}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(limits string) (*config.File, error) {
		return config.Parse(filepath.Join(dir, "aem.toml"), []byte("[app.web.limits]\n"+limits))
	}
	f, err := parse(`jobs = 5
resources = "good.json"`)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "limits", f.Options.Apps[0].Limits, limits.Limits{Jobs: 5, Activations: 256, QueueBytes: 64 << 20, PriorityMax: 15,
		Memory: 65536, CPU: 0.5, CPUPeriod: 100000, Unified: []limits.Raw{{File: "memory.zswap.max", Text: "0"}}})

	for text, want := range map[string]string{
		"resources = \"bad.json\"": `aem.toml:2: app.web.limits.resources: bad.json:2:21: pids.limit: want a whole number from 1 to 4194304`,
		"resources = \"no.json\"":  `aem.toml:2: app.web.limits.resources: read resources: open no.json: no such file or directory`,
		"resources = 5":            `aem.toml:2: app.web.limits.resources: want a string`,
		"pids = 5\nresources = \"good.json\"\nunified = {}": `aem.toml:2: app.web.limits: resources stands instead of pids
aem.toml:4: app.web.limits: resources stands instead of unified`,
	} {
		if _, err := parse(text); err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir+"/", ""), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}
