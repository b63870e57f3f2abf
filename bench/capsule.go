package main

import (
	"errors"
	"os/exec"
	"time"
)

// capsulePlan is how fast capsules of a language are used up, so that their bank is full again before the next event,
// and how many blocks that allows.
var capsulePlan = map[string]struct {
	pace  time.Duration
	block time.Duration
	turns int
}{
	"c":      {5 * time.Millisecond, 200 * time.Millisecond, turns},
	"go":     {10 * time.Millisecond, 300 * time.Millisecond, turns},
	"python": {100 * time.Millisecond, time.Second, turns / 4},
}

// benchCapsule compares a capsule with a cold agent of the same handler: from the event being detected to the first
// line of the user's code.
func benchCapsule(language string) func(*bench) ([]row, error) {
	return func(b *bench) (rows []row, err error) {
		if _, err := exec.LookPath("python3"); err != nil && language == "python" {
			b.say("capsule.dispatch.python is left out: there is no python3")
			return nil, nil
		}
		plan := capsulePlan[language]
		file, err := b.newStamps("capsule." + language)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, file.close()) }()
		command, err := b.handler(language, file.path(), 1)
		if err != nil {
			return nil, err
		}
		text := ""
		for _, life := range []string{"capsule", "cold"} {
			text += direct(life, life, command) + timers(life+"-", life, plan.pace)
		}
		s, err := b.supervise(text, nil)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		life := func(name string) contender {
			return contender{name, func() ([]float64, error) {
				if err := s.during(plan.block, "bench/"+name+"-*"); err != nil {
					return nil, err
				}
				return file.take()
			}}
		}
		r, err := interleave(plan.turns, life("capsule"), life("cold"))
		return r.rows("capsule.dispatch."+language, "ns", "capsule", "cold"), err
	}
}
