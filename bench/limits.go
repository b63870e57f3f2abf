package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/supervisor"
)

// manyApps is how many apps limits.create makes.
const manyApps = 1000

// benchLimits makes a supervisor of many apps, each with counted limits, a cgroup with limits, a policy and a handler of
// its own, and measures how long that takes and what each of them costs the supervisor's memory.
func benchLimits(b *bench) (rows []row, err error) {
	if !b.root {
		b.say("limits.create is left out: making cgroups takes root")
		return nil, nil
	}
	var text strings.Builder
	for i := range manyApps {
		fmt.Fprintf(&text, "[app.a%d]\nuser = \"nobody\"\n[app.a%[1]d.limits]\nactivations = 1000\nactivations_of = { topic = 500 }\nprocesses = 8\n"+
			"memory = \"64MiB\"\npids = 64\ncpu = 0.5\n[app.a%[1]d.handler.h]\nexec = [\"true\"]\nhandover = \"none\"\ndir = \"/\"\n"+
			"[app.a%[1]d.event.t]\ntype = \"topic\"\nhandler = \"h\"\n", i)
	}
	file, err := config.Parse("aem.toml", []byte(text.String()))
	if err != nil {
		return nil, err
	}
	o := file.Options
	o.Logger = slog.New(slog.DiscardHandler)
	ready := make(chan struct{})
	o.Ready = func(int, int, string) { close(ready) }
	resident, err := residentBytes()
	if err != nil {
		return nil, err
	}
	heap := heapBytes()
	began := time.Now()
	s, err := supervisor.New(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-ready
	took := time.Since(began)
	untilIdle()
	residentNow, err := residentBytes()
	heapNow := heapBytes()
	stopping := time.Now()
	cancel()
	err = errors.Join(err, <-ended)
	const each = manyApps * 1024
	return []row{
		{Name: "limits.create", Unit: "s", Value: took.Seconds()},
		{Name: "limits.memory", Unit: "KiB/app", Value: float64(residentNow-resident) / each},
		{Name: "limits.heap", Unit: "KiB/app", Value: float64(heapNow-heap) / each},
		{Name: "limits.remove", Unit: "s", Value: time.Since(stopping).Seconds()},
	}, err
}

// heapBytes is what is in use of this process's heap, garbage collected.
func heapBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// untilIdle waits until the threads that make processes have ended: those of apps in which nothing happens do.
func untilIdle() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if threads, err := os.ReadDir("/proc/self/task"); err != nil || len(threads) < manyApps/10 {
			return
		}
	}
}
