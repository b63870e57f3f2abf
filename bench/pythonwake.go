package main

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// sleeper is a Python process that does nothing but wake: what a handler in that language cannot do without.
type sleeper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func startSleeper() (*sleeper, error) {
	s := &sleeper{cmd: exec.Command("python3", "bench/testdata/wake.py")}
	s.cmd.Stderr = os.Stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if s.out, err = s.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return s, s.cmd.Start()
}

// block wakes it at a pace and returns how long after each word its first line ran.
func (s *sleeper) block(pace, length time.Duration) ([]float64, error) {
	var samples []float64
	for range length / pace {
		time.Sleep(pace)
		var woke [8]byte
		began := sys.Monotonic()
		if _, err := s.in.Write(woke[:]); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(s.out, woke[:]); err != nil {
			return nil, err
		}
		samples = append(samples, float64(int64(binary.NativeEndian.Uint64(woke[:]))-began))
	}
	return samples, nil
}

func (s *sleeper) close() error { return errors.Join(s.in.Close(), s.cmd.Wait()) }
