package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// Rounds of a block of copy.batch; in each as many events as may be in flight are published and answered.
const (
	batchRounds = 40
	batchBytes  = 1 << 10
)

// posted is a C handler with a mailbox and nothing between: no supervisor, no policy.
type posted struct {
	cmd     *exec.Cmd
	box     *directcopy.Mailbox
	poller  *source.Poller
	proved  bool
	blocks  []directcopy.Block
	answers []directcopy.Answer
	err     error // of a watcher
}

// batchArena has room for all of a batch.
var batchArena = directcopy.Options{ArenaSize: 1 << 20}

func (b *bench) newPosted() (p *posted, err error) {
	program, err := b.compile("stamp")
	if err != nil {
		return nil, err
	}
	p = &posted{cmd: exec.Command(program, fmt.Sprint(directcopy.Slots)), blocks: make([]directcopy.Block, directcopy.Slots)}
	for i := range p.blocks {
		p.blocks[i].Data = make([]byte, batchBytes)
	}
	if p.box, err = directcopy.NewMailbox(batchArena); err != nil {
		return nil, err
	}
	if p.poller, err = source.NewPoller(); err != nil {
		return nil, err
	}
	for _, fd := range p.box.Handler() {
		own, err := sys.Dup(fd, 0) // a file that is collected closes its descriptor
		if err != nil {
			return nil, err
		}
		file := os.NewFile(uintptr(own), "mailbox")
		defer file.Close()
		p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, file)
	}
	p.cmd.Stderr, p.cmd.Env = os.Stderr, batchArena.Environment()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.box.CloseHandler()
	if _, err = p.poller.Add(p.box.Channel(), sys.EPOLLIN, source.WatcherFunc(p.hear)); err == nil {
		_, err = p.poller.Add(p.box.AnswersFD(), sys.EPOLLIN|sys.EPOLLET, source.WatcherFunc(p.take))
	}
	for err == nil && !p.proved {
		err = p.wait()
	}
	return p, err
}

func (p *posted) hear(uint32) {
	step, err := p.box.Receive()
	switch {
	case err != nil:
		p.err = err
	case step == directcopy.Greeted:
		p.err = p.box.Prove(p.cmd.Process.Pid)
	case step == directcopy.Proved:
		p.proved = true
	}
}

func (p *posted) take(uint32) { p.answers, p.err = p.box.Answers(p.answers) }

func (p *posted) wait() error { return errors.Join(p.poller.Wait(patience), p.err) }

func (p *posted) close() error {
	err := errors.Join(p.box.Stop(), p.cmd.Wait())
	p.poller.Close()
	return errors.Join(err, p.box.Close())
}

// round publishes all blocks, at most so many with one copy, and waits until they are answered.
func (p *posted) round(atOnce int) error {
	p.answers = p.answers[:0]
	for rest := p.blocks; len(rest) > 0; {
		r, err := p.box.Reserve(rest[:min(atOnce, len(rest))])
		if err != nil {
			return err
		}
		rest = rest[r.Len():]
		if err := r.Copy(p.cmd.Process.Pid); err != nil {
			return err
		}
		if err := r.Publish(-1); err != nil {
			return err
		}
	}
	for len(p.answers) < len(p.blocks) {
		if err := p.wait(); err != nil {
			return err
		}
	}
	return nil
}

// benchCopyBatch has a C handler answer as many events as may be in flight, that came with one copy or with one for
// each. Nothing else differs: what resident.batch gains through the whole supervisor is here without it.
func benchCopyBatch(b *bench) (rows []row, err error) {
	p, err := b.newPosted()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	rate := func(name string, atOnce int) contender {
		return contender{name, func() ([]float64, error) {
			start := time.Now()
			for range batchRounds {
				if err := p.round(atOnce); err != nil {
					return nil, err
				}
			}
			return []float64{batchRounds * directcopy.Slots / time.Since(start).Seconds()}, nil
		}}
	}
	r, err := interleave(turns, rate("together", directcopy.Slots), rate("each", 1))
	return r.rows("copy.batch", "events/s", "together", "each")[:1], err
}
