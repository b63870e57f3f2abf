package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/control"
)

func (p *program) watchVerb() *cobra.Command {
	var s selection
	return s.flag(&cobra.Command{
		Use:   "watch [SELECTOR...]",
		Short: "Follow events from here on, step by step, until interrupted",
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := s.jobs(control.OpWatch, args)
			if err != nil {
				return err
			}
			return p.follow(c.Context(), req)
		}),
	}, "all jobs")
}

// follow prints what happens, a line for each step.
func (p *program) follow(ctx context.Context, req control.Request) error {
	dir, err := p.controlDir()
	if err != nil {
		return err
	}
	client, err := control.Dial(dir)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		reply, err := client.Do(ctx, req)
		if errors.Is(err, context.Canceled) {
			return nil // interrupted: that is how it ends
		}
		if err != nil {
			return err
		}
		w, err := control.ResultOf[control.Watched](reply)
		if err != nil {
			return err
		}
		if w.Lost > 0 {
			fmt.Fprintf(p.err, "aem-exec: %d steps are lost: too many at once\n", w.Lost)
		}
		for _, h := range w.Happenings {
			if err := p.printHappening(h); err != nil {
				return err
			}
		}
		req.Since = max(w.Next, 1)
	}
}

func (p *program) printHappening(h control.Happening) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(h)
	}
	words := []string{h.Time.Local().Format("15:04:05.000000"), fmt.Sprintf("%-8s", h.What), h.Job, h.Event.String()}
	if h.Attempt > 0 {
		words = append(words, fmt.Sprintf("attempt=%d", h.Attempt))
	}
	if h.Reason != "" {
		words = append(words, "reason="+string(h.Reason))
	}
	if h.After > 0 {
		words = append(words, "after="+h.After.Round(time.Microsecond).String())
	}
	_, err := fmt.Fprintln(p.out, line(strings.Join(words, " ")))
	return err
}
