package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// connections.idle: so many that have something to say, beside so many that have not.
const (
	activeConnections = 100
	idleConnections   = 15000
	activeMessages    = 10000 // of a block
	roomDescriptors   = 300   // of a process for everything else
)

// benchIdle has two servers of the same program side by side, one of which has idle connections beside. The figure is the
// time from a message to its answer.
func benchIdle(b *bench) (rows []row, err error) {
	idle := idleConnections
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	if most := int(min(limit.Max, 1<<20)) - activeConnections - roomDescriptors; idle > most {
		idle = most
		b.say("connections.idle: %d instead of %d, more descriptors may not be open (ulimit -Hn)", idle, idleConnections)
	}
	r := &echoes{bench: b}
	defer func() { err = errors.Join(err, r.close()) }()
	program, err := b.echoAEM()
	if err != nil {
		return nil, err
	}
	var contenders []contender
	var resident [2]float64
	for i, n := range []int{idle, 0} {
		client, err := r.serve(program, activeConnections, n)
		if err != nil {
			return nil, err
		}
		if _, err := client.block(activeMessages); err != nil { // all are connected by then
			return nil, err
		}
		if resident[i], err = memoryOf(r.servers.commands[i].Process.Pid); err != nil {
			return nil, err
		}
		contenders = append(contenders, contender{[]string{"idle", "none"}[i], func() ([]float64, error) { return client.block(activeMessages) }})
	}
	all, err := interleave(turns, contenders...)
	memory := row{Name: "connections.memory", Unit: "B/connection", Value: (resident[0] - resident[1]) / float64(idle)}
	return append(all.rows("connections.idle", "ns", "idle", "none"), memory), err
}

// memoryOf is the memory that a process has.
func memoryOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(string(text), "VmRSS:")
	kilobytes := 0.0
	_, err = fmt.Sscan(line, &kilobytes)
	return kilobytes * 1024, err
}
