package source

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var deviceType = Type{
	Name: "device",
	Facts: []Field{
		{"action", aem.FactText, "what happened to the device, as `add`; `overflow` where the kernel's messages were lost"},
		{"devpath", aem.FactText, "the device, below `/sys`"},
		{"subsystem", aem.FactText, "what it is part of, as `block`"},
		{"devname", aem.FactText, "its file, below `/dev`, if it has one"},
		{"seqnum", aem.FactNumber, "the number of the message: the kernel counts them all"},
		{"lost", aem.FactNumber, "with `overflow`: how many messages at most, of whatever devices"},
	},
	Data:   "all that the kernel says of it, as a JSON object: `{\"ACTION\":\"add\",\"DEVPATH\":\"/devices/...\",...}`",
	Kernel: "uevents, from netlink(7) with NETLINK_KOBJECT_UEVENT",
	Linux:  "2.6.10",
	Probe:  probeDevices,
	Open:   func(e Env) Source { return newDevices(e) },
	Merge:  mergeData, Merged: "the facts are the newest's, and the data has a line for each, up to 64 KiB",
}

// DeviceActions are what can happen to a device, linux/kobject.h.
var DeviceActions = []string{"add", "remove", "change", "move", "online", "offline", "bind", "unbind"}

// Device asks for an event for each thing that happens to a device of this host.
type Device struct {
	Actions    []string // nil: all
	Subsystems []string // patterns of path.Match; nil: all
}

// Type is "device".
func (Device) Type() string { return "device" }

func (d Device) check() error {
	for _, a := range d.Actions {
		if !slices.Contains(DeviceActions, a) {
			return fmt.Errorf("action %q: want one of %s", a, strings.Join(DeviceActions, ", "))
		}
	}
	for _, s := range d.Subsystems {
		if _, err := path.Match(s, ""); err != nil {
			return fmt.Errorf("subsystem %q is no pattern", s)
		}
	}
	return nil
}

// wants reports whether a message is one that is asked for.
func (d Device) wants(u *uevent) bool {
	return (d.Actions == nil || slices.Contains(d.Actions, u.value("ACTION"))) &&
		(d.Subsystems == nil || slices.ContainsFunc(d.Subsystems, func(p string) bool {
			ok, _ := path.Match(p, u.value("SUBSYSTEM"))
			return ok
		}))
}

const (
	deviceBufferBytes = 1 << 20 // of the socket: some thousand messages that are not read yet
	deviceBatch       = 64      // messages in one turn
	ueventBytes       = 8 << 10 // of one message; the kernel's have 2 KiB and a header
)

// uevent is one message of the kernel: its variables, as NAME=VALUE, in their order.
type uevent []string

// parseUevent reads a message: `ACTION@DEVPATH`, then the variables, each with a NUL behind it. Others have another form.
func parseUevent(b []byte) (u uevent, ok bool) {
	head, rest, ok := bytes.Cut(b, []byte{0})
	if !ok || !bytes.Contains(head, []byte("@/")) {
		return nil, false
	}
	for v := range bytes.SplitSeq(bytes.TrimRight(rest, "\x00"), []byte{0}) {
		u = append(u, string(v))
	}
	return u, u.value("ACTION") != "" && u.value("DEVPATH") != ""
}

func (u uevent) value(name string) string {
	for _, v := range u {
		if n, value, ok := strings.Cut(v, "="); ok && n == name {
			return value
		}
	}
	return ""
}

func (u uevent) seqnum() int64 {
	n, _ := strconv.ParseInt(u.value("SEQNUM"), 10, 64)
	return n
}

// json is the variables as a JSON object, in their order; of two with one name, the first.
func (u uevent) json() []byte {
	b := []byte{'{'}
	seen := map[string]bool{}
	for _, v := range u {
		name, value, _ := strings.Cut(v, "=")
		if seen[name] {
			continue
		}
		if seen[name] = true; len(b) > 1 {
			b = append(b, ',')
		}
		b = appendString(append(appendString(b, name), ':'), value)
	}
	return append(b, '}')
}

// devices is the source of type device: one socket for all jobs, which is there while a job is started.
type devices struct {
	shared[uevent]
	fd    int
	last  int64 // number of the last message
	lost  bool  // some were, since there was last nothing to read
	gap   int64 // numbers that were passed over since then
	batch []uevent
}

func newDevices(e Env) *devices {
	s := &devices{}
	s.shared = newShared(e, s, s.found)
	return s
}

// probeDevices reports why the kernel tells us of no devices.
func probeDevices() error {
	fd, err := sys.Uevents(deviceBufferBytes)
	if err == nil {
		sys.Close(fd)
	}
	return err
}

func (s *devices) open() (fd int, err error) {
	if s.fd, err = sys.Uevents(deviceBufferBytes); err != nil {
		return 0, fmt.Errorf("open socket for uevents: %w", err)
	}
	s.last, s.lost, s.gap = lastUevent(), false, 0
	return s.fd, nil
}

func (s *devices) shut() { sys.Close(s.fd) }

// want is nothing: the kernel tells of all.
func (s *devices) want() error { return nil }

// Ready reads one batch. How much is lost is known when all that had room is read.
func (s *devices) Ready(uint32) {
	var b [ueventBytes]byte
	s.batch = s.batch[:0]
	lost := int64(0)
	for len(s.batch) < deviceBatch {
		n, err := sys.FromKernel(s.fd, b[:])
		if errors.Is(err, sys.ENOBUFS) {
			s.lost = true
			continue
		}
		if err != nil {
			lost = s.missed()
			break
		}
		if u, ok := parseUevent(b[:n]); ok {
			s.batch = append(s.batch, u)
			s.passed(u.seqnum())
		}
	}
	s.tell(s.batch, lost, func(spec Spec, u *uevent) bool { return spec.(Device).wants(u) })
}

// passed notes the number of a message; that of the one before was not always one less, as some are for other namespaces.
func (s *devices) passed(number int64) {
	if s.lost {
		s.gap += max(0, number-s.last-1)
	}
	s.last = max(s.last, number)
}

// missed is how many messages are lost at most, when there is nothing more to read.
func (s *devices) missed() (n int64) {
	if s.lost {
		now := max(s.last, lastUevent())
		n = max(1, s.gap+now-s.last)
		s.last, s.lost, s.gap = now, false, 0
	}
	return n
}

// lastUevent is the number of the last message that the kernel made.
func lastUevent() int64 {
	text, _ := os.ReadFile("/sys/kernel/uevent_seqnum")
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

func (s *devices) found(j *entry[uevent], u uevent, lost int64) {
	action := u.value("ACTION")
	if lost > 0 {
		action = "overflow"
	}
	e := s.env.Sink.NewEvent("device")
	e.Lost = lost
	e.Facts = []aem.Fact{
		{Name: "action", Value: action}, {Name: "devpath", Value: u.value("DEVPATH")}, {Name: "subsystem", Value: u.value("SUBSYSTEM")},
		{Name: "devname", Value: u.value("DEVNAME")}, aem.NumberFact("seqnum", u.seqnum()), aem.NumberFact("lost", lost),
	}
	e.Data = u.json()
	s.env.Sink.Detected(j.id, e)
}
