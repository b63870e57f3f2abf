package main

import (
	"errors"
	"os/exec"
	"time"
)

// aheadPlan is how fast events come to handlers of a language that are made ahead, so that a bank of capsules is full again
// before the next event, and how many blocks that allows.
var aheadPlan = map[string]struct {
	pace  time.Duration
	block time.Duration
	turns int
}{
	"c":      {5 * time.Millisecond, 200 * time.Millisecond, turns},
	"go":     {10 * time.Millisecond, 300 * time.Millisecond, turns},
	"python": {100 * time.Millisecond, time.Second, turns / 4},
}

// benchAhead compares a handler that is made ahead with a cold one: from the event being detected to the first line of the
// user's code.
func benchAhead(life, language string) func(*bench) ([]row, error) {
	return func(b *bench) (rows []row, err error) {
		title := life + ".dispatch." + language
		if _, err := exec.LookPath("python3"); err != nil && language == "python" {
			b.say("%s is left out: there is no python3", title)
			return nil, nil
		}
		plan := aheadPlan[language]
		file, err := b.newStamps(title)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, file.close()) }()
		command, err := b.handler(language, file.path(), 1)
		if err != nil {
			return nil, err
		}
		text := ""
		for _, name := range []string{life, "cold"} {
			text += direct(name, name, command) + timers(name+"-", name, plan.pace)
		}
		s, err := b.supervise(text, nil)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		contends := func(name string) contender {
			return contender{name, func() ([]float64, error) {
				if err := s.during(plan.block, "bench/"+name+"-*"); err != nil {
					return nil, err
				}
				return file.take()
			}}
		}
		if language != "python" {
			r, err := interleave(plan.turns, contends(life), contends("cold"))
			return r.rows(title, "ns", life, "cold"), err
		}
		least, err := startSleeper()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, least.close()) }()
		wake := contender{"wake", func() ([]float64, error) { return least.block(plan.pace, plan.block) }}
		r, err := interleave(plan.turns, contends(life), contends("cold"), wake)
		return append(r.rows(title, "ns", life, "cold"), r.rows(title+".wake", "ns", life, "wake")[0]), err
	}
}
