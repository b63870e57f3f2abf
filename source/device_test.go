package source

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// The kernel tells of a device anew when its uevent file is written to.
const (
	netDevice = "/sys/class/net/lo/uevent"
	memDevice = "/sys/class/mem/null/uevent"
)

func poke(t *testing.T, file, action string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(action), 0); err != nil {
		t.Fatal(err)
	}
}

func TestDevices_R150_R173(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	d, s := newDesk(t, "device")
	for id, spec := range []Device{{}, {Actions: []string{"remove"}}, {Subsystems: []string{"m*"}}, {Actions: []string{"add"}, Subsystems: []string{"net"}}} {
		if err := s.Start(aem.JobID(id), spec); err != nil {
			t.Fatal(err)
		}
	}
	poke(t, netDevice, "change")
	d.events(t, 1)
	poke(t, memDevice, "add")
	d.events(t, 3)
	poke(t, netDevice, "add")
	d.events(t, 5)
	poke(t, memDevice, "remove")
	d.events(t, 8)
	var jobs []aem.JobID
	for _, e := range d.detected {
		jobs = append(jobs, e.job)
	}
	for i, want := range []aem.JobID{0, 0, 2, 0, 3, 0, 1, 2} {
		if jobs[i] != want {
			t.Fatalf("jobs %v", jobs)
		}
	}
	e := d.detected[2]
	f := e.facts()
	var all map[string]string
	if err := json.Unmarshal(e.Data, &all); err != nil {
		t.Fatalf("%s: %v", e.Data, err)
	}
	if f["action"] != "add" || f["devpath"] != "/devices/virtual/mem/null" || f["subsystem"] != "mem" || f["devname"] != "null" ||
		f["seqnum"] == "0" || all["SEQNUM"] != f["seqnum"] || all["MAJOR"] != "1" || all["MINOR"] != "3" {
		t.Errorf("facts %v, data %v", f, all)
	}
}

// TestLostDevicesAreTold makes more happen than the socket has room for, and reads none meanwhile.
func TestLostDevicesAreTold_R150(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	d, s := newDesk(t, "device")
	if err := s.Start(1, Device{Subsystems: []string{"net"}}); err != nil {
		t.Fatal(err)
	}
	const made = 8000
	for range made {
		poke(t, netDevice, "change")
	}
	count := func() (came, lost int) {
		for _, e := range d.detected {
			if e.text("action") == "overflow" {
				lost += int(e.Facts[5].Number)
			} else {
				came++
			}
		}
		return came, lost
	}
	d.until(t, "all told", func() bool { came, lost := count(); return came > 0 && lost > 0 && came+lost >= made })
	poke(t, netDevice, "add")
	d.until(t, "going on", func() bool { return d.detected[len(d.detected)-1].text("action") == "add" })
}

func TestUeventsAreRead(t *testing.T) {
	for _, c := range []struct {
		text, json string
		ok         bool
	}{
		{"add@/devices/x\x00ACTION=add\x00DEVPATH=/devices/x\x00SUBSYSTEM=net\x00", `{"ACTION":"add","DEVPATH":"/devices/x","SUBSYSTEM":"net"}`, true},
		{"add@/devices/x\x00ACTION=add\x00DEVPATH=/devices/x\x00A=\"q\"=\x00A=2\x00B\x00", `{"ACTION":"add","DEVPATH":"/devices/x","A":"\"q\"=","B":""}`, true},
		{"libudev\x00\xfe\xed\xca\xfe", "", false}, // udev's own
		{"add@/devices/x\x00ACTION=add\x00", "", false},
		{"add@/devices/x", "", false},
		{"", "", false},
	} {
		u, ok := parseUevent([]byte(c.text))
		if ok != c.ok || ok && string(u.json()) != c.json {
			t.Errorf("%q: %s, %t", c.text, u.json(), ok)
		}
	}
}

func FuzzUevents(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00ACTION=add\x00DEVPATH=/devices/x\x00SUBSYSTEM=net\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, ok := parseUevent(b); ok && !json.Valid(u.json()) {
			t.Errorf("%q: %s", b, u.json())
		}
	})
}
