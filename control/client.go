package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// ErrNoSupervisor is what errors.Is finds when nobody listens on the control socket.
var ErrNoSupervisor = errors.New("no supervisor")

// Client asks one supervisor. It has one owner: requests are sent and answered one by one.
type Client struct {
	conn     *conn
	sequence uint32
}

// Dial connects to the supervisor of the runtime directory.
func Dial(runtimeDir string) (*Client, error) {
	if err := checkDefault(runtimeDir); err != nil {
		return nil, err
	}
	path := SocketPath(runtimeDir)
	if err := checkLength(path); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	u, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	switch {
	case err == nil:
		return &Client{conn: newConn(u, messageTime, nil)}, nil
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w at %s (is it running? other places: %s)", ErrNoSupervisor, path,
			strings.Join(otherPlaces(runtimeDir), " "))
	}
	return nil, fmt.Errorf("connect to %s: %w", path, errors.Unwrap(err))
}

// Do sends a request and waits for its reply, until ctx ends. A refusal is an *Error; after any other error the
// connection cannot be used again.
func (c *Client) Do(ctx context.Context, req Request) (Reply, error) {
	if err := req.Check(); err != nil {
		return Reply{}, err
	}
	c.sequence++
	m, err := req.message(c.sequence)
	if err != nil {
		return Reply{}, err
	}
	if req.Op == OpAttach {
		c.conn.takes = func() int { return maxPassed }
		defer func() { c.conn.takes = nil }()
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	reply, err := c.exchange(m)
	switch {
	case err == nil:
		return reply, reply.Err()
	case ctx.Err() != nil:
		return Reply{}, fmt.Errorf("%v: %w", req.Op, context.Cause(ctx))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return Reply{}, fmt.Errorf("%v: the supervisor ended before it answered: what was asked for may have happened", req.Op)
	}
	return Reply{}, fmt.Errorf("%v: %w", req.Op, err)
}

// DoAll sends requests without waiting for the reply to one before the next goes, and returns the replies in their order.
// A refusal is in its reply; after an error the connection cannot be used again.
func (c *Client) DoAll(ctx context.Context, reqs []Request) ([]Reply, error) {
	messages := make([]message, len(reqs))
	for i := range reqs {
		err := reqs[i].Check()
		if err == nil && reqs[i].Op == OpAttach {
			err = Errorf(syscall.EINVAL, "attach: goes alone")
		}
		if err == nil {
			messages[i], err = reqs[i].message(c.sequence + uint32(i) + 1)
		}
		if err != nil {
			return nil, err
		}
	}
	c.sequence += uint32(len(reqs))
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	sent := make(chan error, 1)
	go func() {
		sent <- c.conn.writeAll(messages, c.conn.patience)
	}()
	replies := make([]Reply, 0, len(reqs))
	var err error
	for i := 0; i < len(messages) && err == nil; i++ {
		var r Reply
		if r, err = c.receive(messages[i]); err == nil {
			replies = append(replies, r)
		}
	}
	if err != nil {
		c.conn.Close() //nolint:errcheck // it cannot be used, and the sender may wait for it
	}
	if err = errors.Join(err, <-sent); err != nil {
		return replies, fmt.Errorf("answered %d of %d requests: %w", len(replies), len(reqs), err)
	}
	return replies, nil
}

// maxPassed is how many descriptors come with a reply.
const maxPassed = 8

// exchange writes a request and reads its reply. A server that refuses stops reading, so its refusal is looked for
// also when writing fails.
func (c *Client) exchange(m message) (Reply, error) {
	writeErr := c.conn.write(m, c.conn.patience)
	if writeErr != nil && !errors.Is(writeErr, syscall.EPIPE) {
		return Reply{}, writeErr
	}
	return c.receive(m)
}

// receive reads the reply to a request.
func (c *Client) receive(m message) (Reply, error) {
	answer, err := c.conn.read()
	if err != nil {
		return Reply{}, err
	}
	reply, err := answer.reply()
	if err == nil && reply.Errno == 0 && (answer.sequence != m.sequence || answer.op != m.op) {
		err = Errorf(syscall.EPROTO, "reply to request %d (%v)", answer.sequence, answer.op)
	}
	return reply, err
}

// Server is the supervisor's process.
func (c *Client) Server() (pid int, err error) {
	peer, err := peerOf(c.conn.UnixConn)
	return int(peer.PID), err
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
