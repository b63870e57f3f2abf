package limits

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const allResources = `{
	"memory": {"limit": 67108864, "reservation": 1048576, "swap": 68157440, "disableOOMKiller": false, "useHierarchy": true},
	"cpu": {"quota": 20000, "period": 50000, "shares": 512, "cpus": "0-1", "mems": "0"},
	"pids": {"limit": 32},
	"blockIO": {
		"weight": 500,
		"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
		"throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}]
	},
	"hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
	"unified": {"memory.high": "33554432", "memory.zswap.max": "0"}
}`

func TestParseResources(t *testing.T) {
	got, err := ParseResources([]byte(allResources))
	if err != nil {
		t.Fatal(err)
	}
	devices := got.IO.Devices
	if len(devices) == 2 && devices[0].Path == "8:16" { // lists of an object, in whatever order
		devices[0], devices[1] = devices[1], devices[0]
	}
	want := Limits{
		Memory: 64 << 20, MemoryLow: 1 << 20, Swap: 1 << 20, MemoryHigh: 32 << 20, PIDs: 32,
		CPU: 0.4, CPUPeriod: 50000, CPUShares: 512, CPUSet: "0-1", MemorySet: "0",
		IO:      IO{Weight: 500, Devices: []Device{{Path: "8:0", ReadBytes: 600}, {Path: "8:16", Writes: 300}}},
		HugeTLB: []HugeTLB{{"2MB", 0}}, Unified: []Raw{{"memory.zswap.max", "0"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if quota, period := got.quota(); quota != 20000 || period != 50000 {
		t.Errorf("quota %d of %d", quota, period)
	}
}

func TestMistakesInResources(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{}`, ``},
		{`{"memory": {}}`, ``},
		{`{"memroy": {}}`, `1:2: memroy: unknown key`},
		{"{\"memory\": {\n\t\"limit\": 0}}", `2:11: memory.limit: want a whole number from 4096 to 1125899906842624: what is not to be limited is left out`},
		{`{"memory": {"limit": -1}}`, `1:22: memory.limit: want a whole number from 4096 to`},
		{`{"memory": {"limit": 1e30}}`, `1:22: memory.limit: want a whole number from 4096 to`},
		{`{"memory": {"limit": "64M"}}`, `1:22: memory.limit: want a whole number from 4096 to`},
		{`{"memory": {"limit": 65536, "limit": 65536}}`, `1:29: memory.limit: given twice`},
		{`{"memory": {"swap": 65536}}`, `1:21: memory.swap: it is memory and swap together: memory.limit is missing`},
		{`{"memory": {"limit": 65536, "swap": 65535}}`, `1:37: memory.swap: it is memory and swap together, and less than memory.limit`},
		{`{"memory": {"limit": 65536, "reservation": 65537}}`, `1:44: memory.reservation: it is more than memory.limit`},
		{`{"memory": {"limit": 65536}, "unified": {"memory.high": "65537"}}`, `1:57: unified.memory.high: it is more than memory.limit`},
		{`{"memory": {"disableOOMKiller": true}}`, `1:33: memory.disableOOMKiller: true is not supported`},
		{`{"memory": {"swappiness": 0}}`, `1:27: memory.swappiness: not supported`},
		{`{"cpu": {"period": 1000}}`, `1:20: cpu.period: cpu.quota is missing`},
		{`{"cpu": {"quota": 999}}`, `1:19: cpu.quota: want a whole number from 1000 to`},
		{`{"cpu": {"shares": 1}}`, `1:20: cpu.shares: want a whole number from 2 to 262144`},
		{`{"cpu": {"cpus": "all"}}`, `1:18: cpu.cpus: "all": want numbers and ranges of them`},
		{`{"cpu": {"realtimeRuntime": 1}}`, `1:29: cpu.realtimeRuntime: not supported`},
		{`{"pids": {"limit": 0}}`, `1:20: pids.limit: want a whole number from 1 to 4194304`},
		{`{"blockIO": {"weight": 1001}}`, `1:24: blockIO.weight: want a whole number from 1 to 1000`},
		{`{"blockIO": {"weightDevice": []}}`, `1:30: blockIO.weightDevice: not supported`},
		{`{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]}}`, `1:40: blockIO.throttleReadBpsDevice[0]: rate is missing`},
		{`{"hugepageLimits": [{"pageSize": "../x", "limit": 1}]}`, `1:34: hugepageLimits[0].pageSize: "../x": want a size like "2MB"`},
		{`{"hugepageLimits": [{"limit": 1}]}`, `1:20: hugepageLimits: pageSize is missing`},
		{`{"unified": {"memory.oom.group": "1"}}`, `1:34: unified.memory.oom.group: memory.oom.group would have the kernel end the supervisor`},
		{`{"unified": {"memory.max": "1"}}`, `1:28: unified.memory.max: there is a field for it: memory.limit`},
		{`{"unified": {"hugetlb.2MB.max": "1"}}`, `1:33: unified.hugetlb.2MB.max: there is a field for it: hugepageLimits`},
		{`{"unified": {"cgroup.procs": "1"}}`, `1:30: unified.cgroup.procs: cgroup.procs is for the supervisor to write`},
		{`{"unified": {"memory.min": 1}}`, `1:28: unified.memory.min: want a string, not 1`},
		{`{"devices": [{"allow": false, "access": "rwm"}]}`, `1:13: devices: not supported`},
		{`{"network": {}}`, `1:13: network: not supported`},
		{`{"rdma": {}}`, `1:10: rdma: not supported`},
		{`[]`, `1:1: want an object, not a list`},
		{`{} {}`, `1:4: text after the end`},
		{`{"pids": {"limit": 5}`, `1:22: the text ends here`},
	} {
		_, err := ParseResources([]byte(c.text))
		if got := ""; err != nil {
			if got = err.Error(); c.want == "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%s: taken, want %s", c.text, c.want)
		}
	}
}

func TestResourcesOfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	if _, err := LoadResources(file); err == nil || !strings.HasPrefix(err.Error(), "read resources: ") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(file, []byte(`{"pids": 1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadResources(file); err == nil || err.Error() != file+":1:10: pids: want an object, not 1" {
		t.Errorf("%v", err)
	}
}

func FuzzParseResources(f *testing.F) {
	f.Add(allResources)
	f.Add(`{"unified": {"a": ""}}`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseResources([]byte(text))
		if err != nil {
			return
		}
		for _, r := range l.Unified {
			if CheckRaw(r.File) != nil {
				t.Errorf("%q is to be written", r.File)
			}
		}
		for _, v := range l.Values() {
			if n, ok := v.Value.(int64); ok && n < 0 {
				t.Errorf("%s is %d", v.Limit, n)
			}
		}
	})
}
