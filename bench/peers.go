package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	connections     = 50 // of a block, one after the other
	connectionsPace = 2 * time.Millisecond

	connectionsAtOnce = 16
	crowd             = 10 * connectionsAtOnce // of a block of those
)

// server is somebody who answers connections, with a client that hurries, one that takes its time, and one that has
// several at once.
type server struct {
	name                   string
	hasty, steady, crowded *floor
}

// benchPeers measures accept, handler, one line sent back, close: the same static C handler and the same client for
// all. Our supervisor is the real program, one process with a handler of each life.
func benchPeers(b *bench) (rows []row, err error) {
	p := &peerRun{bench: b}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.handler, err = b.compile("line"); err != nil {
		return nil, err
	}
	if p.client, err = b.compile("client"); err != nil {
		return nil, err
	}
	if err := p.startOurs(); err != nil {
		return nil, err
	}
	for i := range peers {
		if err := p.startPeer(&peers[i]); err != nil {
			return nil, err
		}
	}
	return p.measure()
}

type peerRun struct {
	*bench
	handler, client string
	servers         []*server
	running         []*running
}

func (p *peerRun) close() error {
	var errs []error
	for _, s := range p.servers {
		errs = append(errs, s.hasty.close(), s.steady.close(), s.crowded.close())
	}
	for _, r := range p.running {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// startPeer starts a peer, or says why it is left out: that is never an error of the run.
func (p *peerRun) startPeer(peer *peer) error {
	if program := peer.missing(); program != "" {
		p.say("%s is left out: there is no %s (package %s)", peer.name, program, peer.packaged)
		return nil
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	r, err := peer.start(p.bench, p.handler, port)
	if err == nil {
		p.running = append(p.running, r)
		err = answers(port)
	}
	if err != nil {
		p.say("%s is left out: %v", peer.name, err)
		return nil
	}
	kind := "line"
	if peer.http {
		kind = "http"
	}
	return p.serve(peer.name, port, kind)
}

// serve adds a server that answers, with its clients.
func (p *peerRun) serve(name string, port int, kind string) error {
	s := &server{name: name}
	for client, how := range map[**floor]struct {
		pace   time.Duration
		atOnce int
	}{&s.hasty: {0, 1}, &s.steady: {connectionsPace, 1}, &s.crowded: {0, connectionsAtOnce}} {
		f, err := startFloor(nil, p.client, strconv.Itoa(port), kind, strconv.Itoa(int(how.pace.Microseconds())), strconv.Itoa(how.atOnce))
		if err != nil {
			return err
		}
		*client = f
	}
	p.servers = append(p.servers, s)
	return nil
}

// ours are the ways in which we answer: the name of the event, its app and its handler.
var ours = []struct{ name, app, handler string }{
	{"cold", "bench", "life = \"cold\"\nhandover = \"socket\"\nexec = [\"@LINE\"]"},
	{"cold.nopolicy", "open", "life = \"cold\"\nhandover = \"socket\"\nexec = [\"@LINE\"]"},
	{"capsule", "bench", "life = \"capsule\"\nsize = 16\nhandover = \"direct\"\nexec = [\"@LINES\"]"},
	{"resident", "bench", "life = \"resident\"\nhandover = \"direct\"\nexec = [\"@LINES\"]"},
}

// startOurs runs aem-exec with an event for each way of answering.
func (p *peerRun) startOurs() error {
	program, err := p.compileGo("aem-exec", "./cmd/aem-exec")
	if err != nil {
		return err
	}
	direct, err := p.compile("lines")
	if err != nil {
		return err
	}
	fill := strings.NewReplacer("@LINES", direct, "@LINE", p.handler)
	text := fmt.Sprintf("[supervisor]\nruntime_dir = \"run\"\nstate_dir = \"state\"\nlog = { level = \"error\" }\n%s[app.open.policy]\nseccomp = \"none\"\nnamespaces = []\n", p.app())
	ports := make([]int, len(ours))
	for i, o := range ours {
		if ports[i], err = freePort(); err != nil {
			return err
		}
		name := strings.ReplaceAll(o.name, ".", "-")
		text += fmt.Sprintf("[app.%s.handler.%s]\n%s\n[app.%s.event.%s]\ntype = \"socket.accept\"\nlisten = \"tcp://127.0.0.1:%d\"\nhandler = %q\n",
			o.app, name, fill.Replace(o.handler), o.app, name, ports[i], name)
	}
	file := filepath.Join(p.dir, "peers.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	r := &running{}
	p.running = append(p.running, r)
	if err := r.start([]string{program, "run", "-c", file}); err != nil {
		return err
	}
	for i, o := range ours {
		if err := answers(ports[i]); err != nil {
			return err
		}
		if err := p.serve(o.name, ports[i], "line"); err != nil {
			return err
		}
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// answers waits until somebody takes connections at a port.
func answers(port int) error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// measure has all servers answer in turns.
func (p *peerRun) measure() (rows []row, err error) {
	var contenders []contender
	best := ""
	for _, s := range p.servers {
		if s.name == "tcpserver" {
			best = s.name
		}
		contenders = append(contenders,
			contender{s.name, func() ([]float64, error) { return rate(s.hasty, connections, 1) }},
			contender{s.name + ".c16", func() ([]float64, error) { return rate(s.crowded, crowd, connectionsAtOnce) }},
			contender{s.name + ".p50", func() ([]float64, error) { return s.steady.block(connections) }})
	}
	r, err := interleave(turns, contenders...)
	if err != nil {
		return nil, err
	}
	for _, s := range p.servers {
		for _, row := range []struct{ suffix, unit string }{{"", "connections/s"}, {".c16", "connections/s"}, {".p50", "ns"}} {
			floor := best + row.suffix
			if best == "" || s.name == best {
				floor = ""
			}
			rows = append(rows, r.rows("peers."+s.name+row.suffix, row.unit, s.name+row.suffix, floor)[0])
		}
	}
	return rows, nil
}

// rate is how many things a second a client has done that does so many at once: each place is always taken.
func rate(client *floor, n, atOnce int) ([]float64, error) {
	took, err := client.block(n)
	total := 0.0
	for _, ns := range took {
		total += ns
	}
	return []float64{float64(atOnce) * float64(len(took)) * 1e9 / total}, err
}
