package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// stamps is a file that handlers append to, one stamp for each event. They do so after their first line's time is
// taken, so that it is in no figure.
type stamps struct {
	file *os.File
	read int64
	pids map[int]bool // of all who wrote
}

// stamp is when an event was detected, when its handler's first line ran, both in ns of CLOCK_REALTIME, and the
// handler's pid.
type stamp struct{ Detected, First, PID int64 }

func (b *bench) newStamps(name string) (*stamps, error) {
	f, err := os.Create(filepath.Join(b.dir, name))
	if err == nil {
		err = f.Chmod(0o666) // handlers are other users
	}
	return &stamps{file: f, pids: map[int]bool{}}, err
}

func (s *stamps) path() string { return s.file.Name() }

// take returns how long each event took that came since the last time, in ns.
func (s *stamps) take() ([]float64, error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, info.Size()-s.read)
	if _, err := s.file.ReadAt(raw, s.read); err != nil && len(raw) > 0 {
		return nil, err
	}
	s.read = info.Size()
	all := make([]stamp, len(raw)/24)
	if err := binary.Read(bytes.NewReader(raw), binary.NativeEndian, all); err != nil {
		return nil, err
	}
	samples := make([]float64, len(all))
	for i, one := range all {
		samples[i] = float64(one.First - one.Detected)
		s.pids[int(one.PID)] = true
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("no event reached its handler (%s)", filepath.Base(s.path()))
	}
	return samples, nil
}

func (s *stamps) close() error { return s.file.Close() }
