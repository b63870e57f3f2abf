package sys

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// TestNamesOfBothEnds compares what Accept and LocalName read with what the net package says.
func TestNamesOfBothEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []struct {
		network, listen, from string
		peer                  Peer // of unix
	}{
		{network: "tcp4", listen: "127.0.0.1:0"},
		{network: "tcp6", listen: "[::1]:0"},
		{network: "tcp", listen: "[::]:0"},
		{network: "unix", listen: path, peer: Peer{Unix: true}},
		{network: "unix", listen: "@aem-sys-" + filepath.Base(t.TempDir()), from: path + "-client", peer: Peer{Unix: true, Path: path + "-client"}},
		{network: "unix", listen: path + "2", from: "@aem\x00sys", peer: Peer{Unix: true, Path: "@aem\x00sys"}},
	} {
		l, err := net.Listen(c.network, c.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dialer := net.Dialer{}
		if c.from != "" {
			dialer.LocalAddr = &net.UnixAddr{Name: c.from, Net: "unix"}
		}
		client, err := dialer.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatalf("%s: %v", c.listen, err)
		}
		defer client.Close()
		file, err := l.(interface {
			File() (f *os.File, err error)
		}).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		conn, peer, err := Accept(int(file.Fd()))
		if err != nil {
			t.Fatalf("%s: %v", c.listen, err)
		}
		defer Close(conn)
		local, err := LocalName(conn)
		if err != nil {
			t.Fatal(err)
		}
		wantPeer, wantLocal := c.peer, Peer{Unix: true, Path: l.Addr().String()}
		if c.network != "unix" {
			wantPeer = Peer{IP: unmapped(client.LocalAddr())}
			wantLocal = Peer{IP: unmapped(client.RemoteAddr())}
		}
		if peer != wantPeer || local != wantLocal {
			t.Errorf("%s: peer %v, local %v; want %v, %v", c.listen, peer, local, wantPeer, wantLocal)
		}
	}
}

func unmapped(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
