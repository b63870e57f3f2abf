package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// floor is a C program that measures the least: it reads a 32-bit count on standard input, does the thing that often,
// and writes as many 64-bit numbers of nanoseconds, until its input ends.
type floor struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func startFloor(extra []*os.File, program string, args ...string) (*floor, error) {
	f := &floor{cmd: exec.Command(program, args...)}
	f.cmd.Stderr, f.cmd.ExtraFiles = os.Stderr, extra
	var err error
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if f.out, err = f.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return f, f.cmd.Start()
}

// block has it done n times.
func (f *floor) block(n int) ([]float64, error) {
	if err := binary.Write(f.in, binary.NativeEndian, uint32(n)); err != nil {
		return nil, fmt.Errorf("ask %s: %w", f.cmd.Path, err)
	}
	raw := make([]int64, n)
	if err := binary.Read(f.out, binary.NativeEndian, raw); err != nil {
		return nil, fmt.Errorf("hear %s: %w", f.cmd.Path, err)
	}
	samples := make([]float64, n)
	for i, ns := range raw {
		samples[i] = float64(ns)
	}
	return samples, nil
}

func (f *floor) pid() int { return f.cmd.Process.Pid }

// child is the process that the program has made.
func (f *floor) child() (pid int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", f.pid(), f.pid()))
	fmt.Sscan(string(text), &pid) //nolint:errcheck // 0 without one, which whoever asks for its threads will hear of
	return pid
}

func (f *floor) close() error { return errors.Join(f.in.Close(), f.cmd.Wait()) }
