package sockstate

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

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

// What the program has in registers over its whole length; a call takes R1 to R5 and leaves its result in R0.
const (
	sock, old, next = asm.R6, asm.R7, asm.R8
	zero            = asm.R9
)

// program is called as (const struct sock *sk, const int oldstate, const int newstate) for each change of state of an
// inet socket (include/trace/events/sock.h).
func program(at places, ports, lost, ring int) asm.Instructions {
	return slices.Concat(begin(), tcpAlone(at), portsOf(at), askedFor(ports), states(), addresses(at), namespace(at), identity(), give(lost, ring))
}

// begin keeps the arguments and clears the stack, which the verifier wants written before it is given away.
func begin() asm.Instructions {
	p := asm.Instructions{
		asm.LoadMem(sock, asm.R1, 0, asm.DWord),
		asm.LoadMem(old, asm.R1, 8, asm.DWord),
		asm.LoadMem(next, asm.R1, 16, asm.DWord),
		asm.Mov.Imm(zero, 0),
	}
	for i := int16(stackScratch); i < 0; i += 8 {
		p = append(p, asm.StoreMem(asm.RFP, i, zero, asm.DWord))
	}
	return p
}

// tcpAlone ends it for others: the tracepoint tells of DCCP and SCTP, too.
func tcpAlone(at places) asm.Instructions {
	return append(read(stackScratch, 2, at.protocol),
		asm.LoadMem(asm.R1, asm.RFP, stackScratch, asm.Half), asm.JNE.Imm(asm.R1, protocolTCP, "end"))
}

// portsOf reads both ports, which the kernel keeps in the network's order.
func portsOf(at places) (p asm.Instructions) {
	for _, port := range []struct {
		to   int16
		from int32
	}{{stackRecord + recordLocal, at.port}, {stackRecord + recordPeer, at.peerPort}} {
		p = append(p, read(port.to, 2, port.from)...)
		p = append(p, asm.LoadMem(asm.R1, asm.RFP, port.to, asm.Half), asm.HostTo(asm.BE, asm.R1, asm.Half),
			asm.StoreMem(asm.RFP, port.to, asm.R1, asm.Half))
	}
	return p
}

// askedFor ends it if nobody wants to know of either port.
func askedFor(ports int) asm.Instructions {
	p := asm.Instructions{asm.StoreMem(asm.RFP, stackScratch, zero, asm.DWord)} // allPorts
	p = append(append(p, lookup(ports)...), asm.JNE.Imm(asm.R0, 0, "wanted"))
	for _, port := range []int16{recordLocal, recordPeer} {
		p = append(p, asm.LoadMem(asm.R1, asm.RFP, stackRecord+port, asm.Half), asm.StoreMem(asm.RFP, stackScratch, asm.R1, asm.Half))
		p = append(append(p, lookup(ports)...), asm.JNE.Imm(asm.R0, 0, "wanted"))
	}
	return append(p, asm.Ja.Label("end"))
}

func states() asm.Instructions {
	return asm.Instructions{
		asm.StoreMem(asm.RFP, stackRecord+recordOld, old, asm.Byte).WithSymbol("wanted"),
		asm.StoreMem(asm.RFP, stackRecord+recordNew, next, asm.Byte),
	}
}

// addresses reads those of the socket's family.
func addresses(at places) asm.Instructions {
	six := read(stackRecord+recordFrom, 16, at.from6)
	six[0] = six[0].WithSymbol("six")
	return slices.Concat(
		read(stackRecord+recordFamily, 2, at.family),
		asm.Instructions{asm.LoadMem(asm.R1, asm.RFP, stackRecord+recordFamily, asm.Half), asm.JNE.Imm(asm.R1, inet, "six")},
		read(stackRecord+recordFrom, 4, at.from), read(stackRecord+recordTo, 4, at.to),
		asm.Instructions{asm.Ja.Label("both")},
		six, read(stackRecord+recordTo, 16, at.to6),
	)
}

// namespace follows the socket's pointer to its struct net.
func namespace(at places) asm.Instructions {
	p := read(stackScratch, 8, at.netns)
	p[0] = p[0].WithSymbol("both")
	return append(p,
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackRecord+recordNetns),
		asm.Mov.Imm(asm.R2, 4),
		asm.LoadMem(asm.R3, asm.RFP, stackScratch, asm.DWord), asm.Add.Imm(asm.R3, at.inum),
		asm.FnProbeReadKernel.Call(),
	)
}

func identity() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, sock), asm.FnGetSocketCookie.Call(), asm.StoreMem(asm.RFP, stackRecord+recordCookie, asm.R0, asm.DWord),
		asm.FnKtimeGetNs.Call(), asm.StoreMem(asm.RFP, stackRecord+recordTime, asm.R0, asm.DWord),
	}
}

// give writes the record to the ring. If that is full, what is lost is counted.
func give(lost, ring int) asm.Instructions {
	return slices.Concat(
		asm.Instructions{
			asm.LoadMapPtr(asm.R1, ring),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackRecord),
			asm.Mov.Imm(asm.R3, recordBytes), asm.Mov.Imm(asm.R4, 0),
			asm.FnRingbufOutput.Call(),
			asm.JEq.Imm(asm.R0, 0, "end"),
			asm.StoreMem(asm.RFP, stackScratch, zero, asm.DWord),
		},
		lookup(lost),
		asm.Instructions{
			asm.JEq.Imm(asm.R0, 0, "end"),
			asm.Mov.Imm(asm.R1, 1),
			asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
			asm.Return(),
		},
	)
}

// read copies size bytes of the socket, from a place in it to one on the stack.
func read(to int16, size int32, from int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(to)),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, sock), asm.Add.Imm(asm.R3, from),
		asm.FnProbeReadKernel.Call(),
	}
}

// lookup finds what a map has at the key in scratch, or 0.
func lookup(m int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackScratch),
		asm.FnMapLookupElem.Call(),
	}
}
