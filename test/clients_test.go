package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/control"
)

// converse connects, says something, and returns all that comes back until the other side ends.
func converse(network, address, say string) (string, error) {
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return talk(c, say)
}

// talk says something and returns all that comes back until the other side ends.
func talk(c net.Conn, say string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, say); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// echoes makes n connections, so many at once, each of which has to get back what it said.
func echoes(t *testing.T, network, address string, n, atOnce int) {
	t.Helper()
	numbers := make(chan int)
	var clients sync.WaitGroup
	for range atOnce {
		clients.Go(func() {
			for i := range numbers {
				say := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i%1000))
				if answer, err := converse(network, address, say); err != nil || answer != say {
					t.Errorf("connection %d: %v, %d bytes of %d are right", i, err, common(answer, say), len(say))
				}
			}
		})
	}
	for i := range n {
		if t.Failed() {
			break
		}
		numbers <- i
	}
	close(numbers)
	clients.Wait()
}

// emits publishes n events to a topic, so many at once, each of which has to be done in every job.
func (s *supervisor) emits(topic string, n, atOnce int) {
	s.t.Helper()
	var clients sync.WaitGroup
	for i := range atOnce {
		clients.Go(func() {
			for ; i < n && !s.t.Failed(); i += atOnce {
				emitted, err := s.emit(control.Request{Topic: topic, Wait: true, Data: []byte(itoa(i))})
				if err != nil {
					s.t.Errorf("event %d: %v", i, err)
				}
				for _, f := range emitted.Fates {
					if f.Outcome != "done" {
						s.t.Errorf("event %d: %+v", i, f)
					}
				}
			}
		})
	}
	clients.Wait()
}

// emit is `aem-exec emit` without the making of a process.
func (s *supervisor) emit(req control.Request) (control.Emitted, error) {
	c, err := control.Dial(s.path("run"))
	if err != nil {
		return control.Emitted{}, err
	}
	defer c.Close()
	req.Op = control.OpEmit
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := c.Do(ctx, req)
	if err != nil {
		return control.Emitted{}, err
	}
	return control.ResultOf[control.Emitted](reply)
}

// publish publishes an event to a topic and returns its id.
func (s *supervisor) publish(topic, data string) string {
	s.t.Helper()
	emitted, err := s.emit(control.Request{Topic: topic, Data: []byte(data)})
	if err != nil {
		s.t.Fatal(err)
	}
	return emitted.ID.String()
}

// common is how many bytes a and b have in common from the start.
func common(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
