package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// The server side, from the outside in:
//
//  1. Serve accepts; each connection gets a seat or a refusal.
//  2. A connection has two goroutines. The reader assembles requests, so that a client that went away is noticed
//     while its request is still being answered: the request's context ends.
//  3. The other checks each request, asks Answer and writes the reply, one after the other. Where answers can be had later,
//     it begins the requests that have come together before it waits for them, so that a client which does not wait for
//     replies keeps the answerer as busy as it can.
//  4. When the context of Serve ends, readers stop, what is being answered is answered, and everything is joined.

// Answer gives a request its meaning. It is called from one goroutine per connection, with requests that passed
// Check; ctx ends when the client has gone or the server stops. Request.Data is the answerer's to keep. An answer that says
// Later has begun, in the order of the requests, and is waited for when its turn comes.
type Answer func(ctx context.Context, peer Peer, req Request) Reply

const (
	acceptRetry = 100 * time.Millisecond // after an accept that failed for want of descriptors or memory
	lastWords   = time.Second            // how long a reply may take to be read once the server stops

	// What has come of a connection's messages is read, begun and answered together: so many, and so many bytes without the
	// last one. While they are answered, as many are read.
	beginAhead = 64
	beginBytes = 64 << 10
)

type server struct {
	answer   Answer
	log      *slog.Logger
	patience time.Duration
	uid      uint32 // the supervisor's own
	room     *budget
	seats    seats
}

// Serve answers clients until ctx ends, then returns nil; when the socket cannot be listened on any longer it returns
// why. No goroutine and no connection is left when it returns.
func (l *Listener) Serve(ctx context.Context, answer Answer, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{answer: answer, log: log, patience: l.patience, uid: uint32(os.Geteuid()), room: newBudget(maxHeldBytes)}
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	l.guests.welcome(func(g guest) { connections.Go(func() { s.host(ctx, g) }) })
	defer l.guests.close()

	for failing := false; ; {
		u, err := l.socket.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = u.Close()
			}
			return nil
		case errors.Is(err, syscall.ECONNABORTED):
		case passing(err):
			if !failing {
				log.Warn("control: accepting fails", "error", err, "retry", acceptRetry)
			}
			failing = true
			pause(ctx, acceptRetry)
		case err != nil:
			return fmt.Errorf("accept on %s: %w", l.path, err)
		default:
			failing = false
			connections.Go(func() { s.meet(ctx, u) })
		}
	}
}

// passing reports whether an accept failed for something that ends by itself, man 2 accept.
func passing(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// meet serves who came by the socket.
func (s *server) meet(ctx context.Context, u *net.UnixConn) {
	peer, err := peerOf(u)
	if err != nil {
		s.log.Warn("control: connection refused", "error", err)
		u.Close() //nolint:errcheck // it is given up whatever close returns
		return
	}
	peer.Session = &Session{socket: u, pidfd: -1}
	s.connection(ctx, u, peer)
}

// host serves who was given the connection.
func (s *server) host(ctx context.Context, g guest) {
	defer sys.Close(g.pidfd)
	g.peer.Session = &Session{socket: g.socket, pidfd: g.pidfd}
	s.connection(ctx, g.socket, g.peer)
}

// connection serves one client from its first request to its end.
func (s *server) connection(ctx context.Context, u *net.UnixConn, peer Peer) {
	defer u.Close() //nolint:errcheck // it is given up whatever close returns
	c := newConn(u, s.patience, s.room)
	foreign := peer.App != "" || peer.UID != 0 && peer.UID != s.uid
	var refusal *Error
	if errors.As(s.seats.take(foreign), &refusal) {
		s.log.Debug("control: connection refused", "uid", peer.UID, "pid", peer.PID, "error", refusal)
		c.refuse(message{}, refusal)
		return
	}
	defer s.seats.give(foreign)
	c.takes = func() int {
		if peer.Session.sockets.Load() {
			return MaxSockets
		}
		return 0
	}
	defer peer.Session.end()

	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = u.CloseRead() })
	defer stop()
	incoming := make(chan []received)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer cancel()
		defer close(incoming)
		s.receive(ctx, c, incoming)
	})
	defer reader.Wait()
	defer cancel()
	if err := s.converse(ctx, c, peer, incoming); err != nil {
		s.log.Debug("control: connection ended", "uid", peer.UID, "pid", peer.PID, "error", err)
		cancel()
		for batch := range incoming {
			s.dropAll(batch)
		}
	}
}

// converse answers the messages of a connection until there are no more. An error is the connection's end.
func (s *server) converse(ctx context.Context, c *conn, peer Peer, incoming <-chan []received) error {
	var open []begun
	for batch := range incoming {
		for len(batch) > 0 {
			open = append(open, s.begin(ctx, peer, batch[0]))
			batch = batch[1:]
			if open[len(open)-1].Later != nil && len(batch) > 0 {
				continue
			}
			if err := s.replyAll(ctx, c, open); err != nil {
				s.dropAll(batch)
				return err
			}
			clear(open)
			open = open[:0]
		}
	}
	return nil
}

func (s *server) dropAll(batch []received) {
	for _, r := range batch {
		s.drop(r.message)
	}
}

// drop lets go of a message that is done with.
func (s *server) drop(m message) {
	s.room.give(m.held)
	closeAll(m.fds)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd) //nolint:errcheck // it is gone whatever close returns
	}
}

// received is a message, or what is wrong with it.
type received struct {
	message
	refusal *Error
}

// receive reads messages until one is wrong or the client has gone.
func (s *server) receive(ctx context.Context, c *conn, incoming chan<- []received) {
	for {
		var batch []received
		for bytes := 0; ; {
			m, err := c.read()
			r := received{message: m}
			if err != nil && !errors.As(err, &r.refusal) {
				s.drop(m)
				s.dropAll(batch) // none, but where the connection was closed from here
				return
			}
			batch = append(batch, r)
			if bytes += m.size(); r.refusal != nil || len(batch) == beginAhead || bytes > beginBytes || !c.more() {
				break
			}
		}
		last := batch[len(batch)-1]
		select {
		case incoming <- batch:
		case <-ctx.Done():
			s.dropAll(batch)
			return
		}
		if last.refusal != nil {
			return
		}
	}
}

// begun is a message whose reply is to come, or is there.
type begun struct {
	received
	Reply
}

// begin asks for the answer to one message.
func (s *server) begin(ctx context.Context, peer Peer, r received) begun {
	if r.refusal != nil {
		return begun{received: r}
	}
	var refusal *Error
	req, err := r.request()
	if errors.As(err, &refusal) {
		return begun{r, refusal.reply()}
	}
	return begun{r, s.answer(ctx, peer, req)}
}

// replyAll writes the answers to messages, in their order, as they come; small ones together. Whatever it returns, all have
// been waited for. An error ends the connection.
func (s *server) replyAll(ctx context.Context, c *conn, open []begun) (err error) {
	var ready []message
	bytes := 0
	flush := func() {
		patience := s.patience
		if ctx.Err() != nil {
			patience = min(patience, lastWords)
		}
		if err == nil {
			err = c.writeAll(ready, patience)
		}
		for _, m := range ready {
			closeAll(m.fds) // they were sent, or nobody wants them
		}
		ready, bytes = ready[:0], 0
	}
	for _, b := range open {
		r, answer := b.received, b.Reply
		if r.refusal != nil {
			if flush(); err == nil {
				c.refuse(r.message, r.refusal)
				err = r.refusal
			}
			s.drop(r.message)
			continue
		}
		if answer.Later != nil {
			answer = answer.Later()
		}
		s.drop(r.message)
		ready = append(ready, answer.message(r.op, r.sequence))
		if bytes += ready[len(ready)-1].size(); bytes > packedBytes {
			flush()
		}
	}
	flush()
	return err
}
