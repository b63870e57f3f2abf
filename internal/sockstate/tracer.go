package sockstate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
)

// Change is one change of state.
type Change struct {
	Time        int64  // ns of CLOCK_MONOTONIC
	Socket      uint64 // the kernel's cookie of it: the same for all its changes, and for no other socket's
	Netns       uint32 // number of its network namespace, as in /proc/self/ns/net
	Local, Peer netip.AddrPort
	Old, New    State
}

// ringBytes is room for 14,000 changes that nobody has read yet; what comes beyond it is counted as lost.
const ringBytes = 1 << 20

// maxPorts is how many ports may be asked for; with more, changes of all are told.
const maxPorts = 4096

// Tracer is an attached program. It has one owner.
type Tracer struct {
	ports, lost, ring *ebpf.Map
	program           *ebpf.Program
	link              link.Link
	reader            *ringbuf.Reader
	record            ringbuf.Record
	told              uint64 // of what was lost
}

// Open attaches the program, for no port at first. An error names what the kernel lacks or refuses.
func Open() (t *Tracer, err error) {
	t = &Tracer{}
	if err = t.open(); err != nil {
		t.Close()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			return nil, errors.New("trace sockets: the capabilities BPF and PERFMON are missing (root has them)")
		}
		return nil, fmt.Errorf("trace sockets: %w", err)
	}
	return t, nil
}

func (t *Tracer) open() (err error) {
	at, err := find()
	if err != nil {
		return err
	}
	if t.ports, err = ebpf.NewMap(&ebpf.MapSpec{Name: "aem_ports", Type: ebpf.Hash, KeySize: 8, ValueSize: 1, MaxEntries: maxPorts + 1}); err != nil {
		return err
	}
	if t.lost, err = ebpf.NewMap(&ebpf.MapSpec{Name: "aem_lost", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return err
	}
	if t.ring, err = ebpf.NewMap(&ebpf.MapSpec{Name: "aem_states", Type: ebpf.RingBuf, MaxEntries: ringBytes}); err != nil {
		return err
	}
	t.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "aem_states", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "inet_sock_set_state",
		License:      "Dual MIT/GPL", // bpf_probe_read_kernel is for those that the GPL allows
		Instructions: program(at, t.ports.FD(), t.lost.FD(), t.ring.FD()),
	})
	if err != nil {
		return err
	}
	if t.reader, err = ringbuf.NewReader(t.ring); err != nil {
		return err
	}
	t.reader.SetDeadline(time.Unix(1, 0)) // never wait
	t.link, err = link.AttachTracing(link.TracingOptions{Program: t.program})
	return err
}

// Check reports why this kernel, or who we are, does not do.
func Check() error {
	t, err := Open()
	if err == nil {
		t.Close()
	}
	return err
}

// FD polls readable while there is something to read.
func (t *Tracer) FD() int { return t.ring.FD() }

// Want has changes of sockets with one of the ports told, whichever end has it; nil means all.
func (t *Tracer) Want(ports []uint16) error {
	keys := []uint64{allPorts}
	if ports != nil && len(ports) <= maxPorts {
		keys = keys[:0]
		for _, p := range ports {
			keys = append(keys, uint64(p))
		}
	}
	wanted := map[uint64]bool{}
	for _, k := range keys { // first the new ones: what was told is told on
		wanted[k] = true
		if err := t.ports.Put(k, uint8(1)); err != nil {
			return fmt.Errorf("trace port %d: %w", k, err)
		}
	}
	var have []uint64
	var k uint64
	var v uint8
	for entries := t.ports.Iterate(); entries.Next(&k, &v); {
		if !wanted[k] {
			have = append(have, k)
		}
	}
	for _, k := range have {
		if err := t.ports.Delete(k); err != nil {
			return fmt.Errorf("trace port %d no more: %w", k, err)
		}
	}
	return nil
}

// Read appends at most so many changes, and tells how many were lost since it last did.
func (t *Tracer) Read(dst []Change, most int) (changes []Change, lost uint64, err error) {
	for n := 0; n < most; n++ {
		if err = t.reader.ReadInto(&t.record); err != nil {
			break
		}
		if c, ok := parse(t.record.RawSample); ok {
			dst = append(dst, c)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	var all uint64
	if lookup := t.lost.Lookup(uint32(0), &all); err == nil {
		err = lookup
	}
	lost, t.told = all-t.told, all
	return dst, lost, err
}

// Close detaches the program.
func (t *Tracer) Close() {
	if t.link != nil {
		t.link.Close() //nolint:errcheck // it is gone with its descriptor
	}
	if t.reader != nil {
		t.reader.Close() //nolint:errcheck // likewise
	}
	if t.program != nil {
		t.program.Close() //nolint:errcheck // likewise
	}
	for _, m := range []*ebpf.Map{t.ring, t.lost, t.ports} {
		if m != nil {
			m.Close() //nolint:errcheck // likewise
		}
	}
}

// find looks up where the kernel has what the program reads, in the kernel's own description of its types.
func find() (at places, err error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return at, fmt.Errorf("read the kernel's types (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	for _, m := range []struct {
		to         *int32
		structName string
		path       []string
	}{
		{&at.protocol, "sock", []string{"sk_protocol"}},
		{&at.family, "sock", []string{"__sk_common", "skc_family"}},
		{&at.port, "inet_sock", []string{"inet_sport"}},
		{&at.peerPort, "sock", []string{"__sk_common", "skc_dport"}},
		{&at.netns, "sock", []string{"__sk_common", "skc_net"}},
		{&at.from, "sock", []string{"__sk_common", "skc_rcv_saddr"}},
		{&at.to, "sock", []string{"__sk_common", "skc_daddr"}},
		{&at.from6, "sock", []string{"__sk_common", "skc_v6_rcv_saddr"}},
		{&at.to6, "sock", []string{"__sk_common", "skc_v6_daddr"}},
		{&at.inum, "net", []string{"ns", "inum"}},
	} {
		var s *btf.Struct
		if err := kernel.TypeByName(m.structName, &s); err != nil {
			return at, fmt.Errorf("find struct %s: %w", m.structName, err)
		}
		var t btf.Type = s
		for _, name := range m.path {
			offset, inner, ok := member(t, name)
			if !ok {
				return at, fmt.Errorf("find %s in struct %s: this kernel has none", name, m.structName)
			}
			*m.to += int32(offset)
			t = inner
		}
	}
	return at, nil
}

// member finds a member of a struct or union, or of those without a name within it, and how many bytes it is from its start.
func member(t btf.Type, name string) (offset uint32, inner btf.Type, ok bool) {
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m.Offset.Bytes(), m.Type, true
		}
		if m.Name == "" {
			if below, inner, ok := member(m.Type, name); ok {
				return m.Offset.Bytes() + below, inner, true
			}
		}
	}
	return 0, nil, false
}
