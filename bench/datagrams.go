package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// datagramsDrain is how long what was sent last may take to be taken, before a block's end is read.
const datagramsDrain = 50 * time.Millisecond

// benchDatagrams floods a resident C handler with datagrams of 1 KiB, and a bare loop around recvmmsg. Both count what they
// had in a file that they map; what neither takes in time the kernel drops.
func benchDatagrams(b *bench) (rows []row, err error) {
	flood, err := b.compile("flood")
	if err != nil {
		return nil, err
	}
	servers := &running{}
	var clients []*floor
	defer func() {
		for _, c := range clients {
			err = errors.Join(err, c.close())
		}
		err = errors.Join(err, servers.close())
	}()
	contend := func(name string, start func(port int, counter string) error) (contender, error) {
		port, err := freePort()
		if err != nil {
			return contender{}, err
		}
		counter := filepath.Join(b.dir, "counter."+name)
		if err := errors.Join(os.WriteFile(counter, make([]byte, 8), 0o666), os.Chmod(counter, 0o666)); err != nil { // the handler is another user
			return contender{}, err
		}
		if err := start(port, counter); err != nil {
			return contender{}, err
		}
		client, err := startFloor(nil, flood, strconv.Itoa(port))
		if err != nil {
			return contender{}, err
		}
		clients = append(clients, client)
		return contender{name, func() ([]float64, error) { return taken(client, counter) }}, nil
	}
	bare, err := contend("bare", func(port int, counter string) error {
		program, err := b.compile("drain")
		if err != nil {
			return err
		}
		return servers.start([]string{program, strconv.Itoa(port), counter})
	})
	if err != nil {
		return nil, err
	}
	var s *supervised
	resident, err := contend("resident", func(port int, counter string) error {
		program, err := b.compile("count")
		if err != nil {
			return err
		}
		text := direct("count", "resident", fmt.Sprintf("%q, \"64\", %q", program, counter)) +
			fmt.Sprintf("[app.bench.event.count]\ntype = \"socket.read\"\nlisten = \"udp://127.0.0.1:%d\"\nhandler = \"count\"\n", port)
		s, err = b.supervise(text, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	all, err := interleave(turns, resident, bare)
	return all.rows("datagrams.rate", "datagrams/s", "resident", "bare")[:1], err
}

// taken floods for a while and returns how many a second were taken.
func taken(client *floor, counter string) ([]float64, error) {
	before, err := readCounter(counter)
	if err != nil {
		return nil, err
	}
	took, err := client.block(1)
	if err != nil {
		return nil, err
	}
	time.Sleep(datagramsDrain)
	after, err := readCounter(counter)
	if err == nil && after == before {
		err = errors.New("no datagram was taken")
	}
	return []float64{float64(after-before) * 1e9 / took[0]}, err
}

func readCounter(file string) (uint64, error) {
	text, err := os.ReadFile(file)
	if err != nil || len(text) != 8 {
		return 0, fmt.Errorf("read %s: %d bytes, %w", file, len(text), err)
	}
	return binary.NativeEndian.Uint64(text), nil
}
