package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// handlerAbout is one handler. What an agent has no use for is left out.
type handlerAbout struct {
	Name        string            `json:"name"`
	Agent       string            `json:"agent"`
	Call        string            `json:"call,omitempty"`
	Args        map[string]any    `json:"args,omitempty"`
	Life        string            `json:"life,omitempty"`
	Program     string            `json:"program,omitempty"`
	Arguments   []string          `json:"arguments,omitempty"` // the program's name first, facts as {name}
	Dir         string            `json:"dir,omitempty"`
	Umask       string            `json:"umask,omitempty"`
	Env         []string          `json:"env,omitempty"`
	Variables   []string          `json:"variables,omitempty"` // names of those that differ from event to event
	Handover    string            `json:"handover,omitempty"`
	Descriptors map[string]string `json:"descriptors,omitempty"` // as "0" or "1-2"
	Arena       *arenaAbout       `json:"arena,omitempty"`       // with handover direct
	Rlimits     map[string]string `json:"rlimits,omitempty"`
	Nice        *int              `json:"nice,omitempty"`
	Affinity    string            `json:"affinity,omitempty"`
	Realtime    int               `json:"realtime,omitempty"`
	IOPriority  string            `json:"ioprio,omitempty"`
	OOMScoreAdj *int              `json:"oom_score_adj,omitempty"`
	Size        int               `json:"size,omitempty"`
	Concurrency int               `json:"concurrency"`
	Timeout     string            `json:"timeout,omitempty"`
	Ready       string            `json:"ready_timeout,omitempty"`
	KillAfter   string            `json:"kill_after,omitempty"`
	Leftover    string            `json:"leftover,omitempty"`
	Success     string            `json:"success,omitempty"`
	Retries     int               `json:"retries"`
	Backoff     string            `json:"backoff,omitempty"`
	Restart     string            `json:"restart,omitempty"`

	open []executor.Descriptor
}

// arenaAbout is the memory that events are copied into.
type arenaAbout struct {
	Size  int64  `json:"size"`
	Max   int64  `json:"max"`
	Alloc string `json:"alloc"`
	Copy  string `json:"copy"`
}

func explainHandler(h *executor.Spec, who executor.Account, facts []source.Field, second bool) (handlerAbout, error) {
	about := handlerAbout{
		Name: h.Name, Agent: string(h.Agent), Call: h.Call, Args: h.Args, Concurrency: h.Concurrency, Retries: h.Retries,
		Nice: h.Nice, Affinity: config.CPUsText(h.CPUs), Realtime: h.Realtime, Timeout: span(h.Timeout), Backoff: growing(h.Backoff),
	}
	if h.Agent != executor.Process {
		return about, nil
	}
	e, err := h.Explain(who, facts, second)
	if err != nil {
		err = fmt.Errorf("handler %s: %w", h.Name, err)
	}
	about.Life, about.Handover, about.Program, about.Arguments = string(h.Life), string(h.Handover), e.Program, e.Args
	about.Dir, about.Umask, about.Env, about.Variables, about.open = h.Dir, fmt.Sprintf("%04o", h.Umask), e.Env, e.Variables, e.Descriptors
	about.IOPriority, about.OOMScoreAdj = config.IOPriorityText(h.IOPriority), h.OOMScoreAdj
	about.Size, about.KillAfter, about.Leftover, about.Restart = h.Ahead(), span(h.KillAfter), string(h.Leftover), growing(h.Restart)
	if h.Handover == executor.Direct {
		about.Ready, about.Arena = span(h.ReadyTimeout), &arenaAbout{h.ArenaSize, h.ArenaMax, string(h.Alloc), string(h.Copy)}
	}
	about.Descriptors = map[string]string{}
	for _, d := range e.Descriptors {
		about.Descriptors[numbers(d)] = d.Is
	}
	for _, r := range h.Rlimits {
		if about.Rlimits == nil {
			about.Rlimits = map[string]string{}
		}
		about.Rlimits[config.ResourceName(r.Resource)] = rlimitText(r.Value)
	}
	about.Success = "any"
	if !h.AnySuccess {
		about.Success = strings.Trim(fmt.Sprint(h.Success), "[]")
	}
	return about, err
}

// span is a time, "" where there is none.
func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// growing is a wait that grows, in words.
func growing(b executor.Backoff) string {
	text := fmt.Sprintf("%v, times %v, up to %v", b.First, b.Factor, b.Max)
	if b.Jitter > 0 {
		text += fmt.Sprintf(", of which %v is random", b.Jitter)
	}
	if b.Reset > 0 {
		text += fmt.Sprintf(", anew after %v", b.Reset)
	}
	return text
}

func numbers(d executor.Descriptor) string {
	if d.End > d.FD {
		return fmt.Sprintf("%d-%d", d.FD, d.End)
	}
	return strconv.Itoa(d.FD)
}

func rlimitText(v uint64) string {
	if v == math.MaxUint64 {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}
