package sockstate

import (
	"encoding/binary"
	"net/netip"
)

// record is what the program writes for a change; its fields' places are below.
const (
	recordTime   = 0  // u64, ns of CLOCK_MONOTONIC
	recordCookie = 8  // u64
	recordNetns  = 16 // u32
	recordFamily = 20 // u16
	recordLocal  = 22 // u16, port
	recordPeer   = 24 // u16, port
	recordOld    = 26 // u8
	recordNew    = 27 // u8
	recordFrom   = 32 // 16 bytes, local address; of IPv4 the first four
	recordTo     = 48 // 16 bytes
	recordBytes  = 64
)

// parse reads a record. A ring of ours holds no other.
func parse(b []byte) (c Change, ok bool) {
	if len(b) < recordBytes {
		return c, false
	}
	n := binary.NativeEndian
	c = Change{
		Time: int64(n.Uint64(b[recordTime:])), Socket: n.Uint64(b[recordCookie:]), Netns: n.Uint32(b[recordNetns:]),
		Old: State(b[recordOld]), New: State(b[recordNew]),
	}
	four := n.Uint16(b[recordFamily:]) == inet
	c.Local = netip.AddrPortFrom(address(b[recordFrom:], four), n.Uint16(b[recordLocal:]))
	c.Peer = netip.AddrPortFrom(address(b[recordTo:], four), n.Uint16(b[recordPeer:]))
	return c, true
}

func address(b []byte, four bool) netip.Addr {
	if four {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}
