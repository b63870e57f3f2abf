package source

import (
	"net/netip"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// gate lets the connections of one started job in, as its door says. Who may not come in is disconnected and counted; who
// comes too fast waits in the kernel.
type gate struct {
	env     Env
	door    Door
	open    map[who]int // connections, where there is a bound to them
	tokens  float64     // connections that may come at once
	filled  int64       // when tokens was last right
	refused tally
}

// who is what counts as one peer: an IPv4 address, the network of an IPv6 host (as many addresses of which as it likes are
// its own), or a user of this host.
type who struct {
	ip  netip.Addr
	uid int
}

// guest is one connection that is counted until it leaves.
type guest struct {
	gate *gate
	who  who
}

func newGate(env Env, d Door) *gate {
	return &gate{env: env, door: d, open: map[who]int{}, tokens: float64(d.Rate.Count), filled: timing.Now()}
}

// wait is how long the next connection has to wait for its turn.
func (g *gate) wait() time.Duration {
	r := g.door.Rate
	if r.Count == 0 {
		return 0
	}
	now, each := timing.Now(), float64(r.Per)/float64(r.Count)
	g.tokens = min(float64(r.Count), g.tokens+float64(now-g.filled)/each)
	g.filled = now
	if g.tokens >= 1 {
		return 0
	}
	return time.Duration((1-g.tokens)*each) + 1
}

// admit reports whether a connection may come in. The guest is nil where nobody counts.
func (g *gate) admit(conn int, peer sys.Peer) (*guest, bool) {
	if g.door.Rate.Count > 0 {
		g.tokens--
	}
	if !peer.Unix && !g.door.allows(peer.IP.Addr()) {
		g.refuse(peer, "it is not in allow")
		return nil, false
	}
	if g.door.PerPeer == 0 {
		return nil, true
	}
	v := guest{g, whoIs(conn, peer)}
	if g.open[v.who] >= g.door.PerPeer {
		g.refuse(peer, "it has as many connections as per_peer says")
		return nil, false
	}
	g.open[v.who]++
	return &v, true
}

func (g *gate) refuse(peer sys.Peer, why string) {
	g.refused.add(g.env, "connections were refused", "peer", endName(peer), "why", why)
}

func whoIs(conn int, peer sys.Peer) who {
	if peer.Unix {
		uid, _, err := sys.PeerOwner(conn)
		if err != nil {
			uid = -1
		}
		return who{uid: uid}
	}
	ip := peer.IP.Addr().WithZone("")
	if network, err := ip.Prefix(64); ip.Is6() && err == nil {
		ip = network.Addr()
	}
	return who{ip: ip}
}

// leave counts a connection as gone. There may be none to count.
func (v *guest) leave() {
	if v == nil {
		return
	}
	if v.gate.open[v.who]--; v.gate.open[v.who] == 0 {
		delete(v.gate.open, v.who)
	}
}

// Ended is when a connection leaves that was handed over: whoever has it from then on, its event is done with.
func (v *guest) Ended(*aem.Event, *aem.Completion) { v.leave() }
