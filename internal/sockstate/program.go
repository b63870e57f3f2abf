package sockstate

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf/asm"
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

const (
	inet         = 2 // AF_INET
	protocolTCP  = 6
	allPorts     = 0 // the key of the map of ports that stands for every one
	stackRecord  = -recordBytes
	stackScratch = stackRecord - 8
)

// places are where the kernel that runs has what the program reads.
type places struct {
	protocol                int32 // in struct sock
	family, peerPort, netns int32 // in its struct sock_common
	from, to, from6, to6    int32
	port                    int32 // in struct inet_sock, which begins with a struct sock; there it stays when the socket is closed
	inum                    int32 // in struct net
}

// program is called as (const struct sock *sk, const int oldstate, const int newstate) for each change of state of an
// inet socket (include/trace/events/sock.h).
func program(at places, ports, lost, ring int) asm.Instructions {
	const sock, old, next = asm.R6, asm.R7, asm.R8
	read := func(to int16, size int32, from int32) asm.Instructions { // size bytes at sock + from
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(to)),
			asm.Mov.Imm(asm.R2, size),
			asm.Mov.Reg(asm.R3, sock), asm.Add.Imm(asm.R3, from),
			asm.FnProbeReadKernel.Call(),
		}
	}
	lookup := func(m int, found string) asm.Instructions { // the key is in scratch
		return asm.Instructions{
			asm.LoadMapPtr(asm.R1, m),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackScratch),
			asm.FnMapLookupElem.Call(),
			asm.JNE.Imm(asm.R0, 0, found),
		}
	}
	p := asm.Instructions{
		asm.LoadMem(sock, asm.R1, 0, asm.DWord),
		asm.LoadMem(old, asm.R1, 8, asm.DWord),
		asm.LoadMem(next, asm.R1, 16, asm.DWord),
	}
	p = append(p, asm.Mov.Imm(asm.R9, 0))
	for i := int16(stackScratch); i < 0; i += 8 {
		p = append(p, asm.StoreMem(asm.RFP, i, asm.R9, asm.DWord))
	}
	// The tracepoint tells of other protocols too.
	p = append(p, read(stackScratch, 2, at.protocol)...)
	p = append(p, asm.LoadMem(asm.R1, asm.RFP, stackScratch, asm.Half), asm.JNE.Imm(asm.R1, protocolTCP, "end"))
	for _, port := range []struct {
		to   int16
		from int32
	}{{stackRecord + recordLocal, at.port}, {stackRecord + recordPeer, at.peerPort}} {
		p = append(p, read(port.to, 2, port.from)...)
		p = append(p, asm.LoadMem(asm.R1, asm.RFP, port.to, asm.Half), asm.HostTo(asm.BE, asm.R1, asm.Half),
			asm.StoreMem(asm.RFP, port.to, asm.R1, asm.Half))
	}
	// Does anybody want to know of these ports?
	p = append(p, asm.StoreMem(asm.RFP, stackScratch, asm.R9, asm.DWord)) // allPorts
	p = append(p, lookup(ports, "wanted")...)
	for _, port := range []int16{recordLocal, recordPeer} {
		p = append(p, asm.LoadMem(asm.R1, asm.RFP, stackRecord+port, asm.Half), asm.StoreMem(asm.RFP, stackScratch, asm.R1, asm.Half))
		p = append(p, lookup(ports, "wanted")...)
	}
	p = append(p, asm.Ja.Label("end"))
	p = append(p,
		asm.StoreMem(asm.RFP, stackRecord+recordOld, old, asm.Byte).WithSymbol("wanted"),
		asm.StoreMem(asm.RFP, stackRecord+recordNew, next, asm.Byte),
	)
	p = append(p, read(stackRecord+recordFamily, 2, at.family)...)
	p = append(p, asm.LoadMem(asm.R1, asm.RFP, stackRecord+recordFamily, asm.Half), asm.JNE.Imm(asm.R1, inet, "six"))
	p = append(p, read(stackRecord+recordFrom, 4, at.from)...)
	p = append(p, read(stackRecord+recordTo, 4, at.to)...)
	p = append(p, asm.Ja.Label("common"))
	six := append(read(stackRecord+recordFrom, 16, at.from6), read(stackRecord+recordTo, 16, at.to6)...)
	six[0] = six[0].WithSymbol("six")
	p = append(p, six...)
	common := read(stackScratch, 8, at.netns)
	common[0] = common[0].WithSymbol("common")
	p = append(p, common...)
	p = append(p,
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackRecord+recordNetns),
		asm.Mov.Imm(asm.R2, 4),
		asm.LoadMem(asm.R3, asm.RFP, stackScratch, asm.DWord), asm.Add.Imm(asm.R3, at.inum),
		asm.FnProbeReadKernel.Call(),

		asm.Mov.Reg(asm.R1, sock), asm.FnGetSocketCookie.Call(), asm.StoreMem(asm.RFP, stackRecord+recordCookie, asm.R0, asm.DWord),
		asm.FnKtimeGetNs.Call(), asm.StoreMem(asm.RFP, stackRecord+recordTime, asm.R0, asm.DWord),

		asm.LoadMapPtr(asm.R1, ring),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackRecord),
		asm.Mov.Imm(asm.R3, recordBytes), asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		// The ring is full: what is lost is counted.
		asm.StoreMem(asm.RFP, stackScratch, asm.R9, asm.DWord),
		asm.LoadMapPtr(asm.R1, lost), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackScratch),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
		asm.Return(),
	)
	return p
}
