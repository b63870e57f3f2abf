package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

const (
	stormDirectories = 1000 // made during the storm, half of them in others
	stormFiles       = 100  // in each
	stormPatience    = time.Minute
)

// benchFiles makes 100,000 files in directories that are made at the same time, and counts those of them that nobody is
// told of: ours, and inotifywait's.
func benchFiles(b *bench) (rows []row, err error) {
	missed, rate, err := b.ourStorm()
	if err != nil {
		return nil, err
	}
	rows = append(rows, row{Name: "files.missed", Unit: "files", Value: missed}, row{Name: "files.rate", Unit: "files/s", Value: rate})
	if _, err := exec.LookPath("inotifywait"); err != nil {
		b.say("files.missed.inotifywait is left out: there is no inotifywait (package inotify-tools)")
		return rows, nil
	}
	missed, err = b.inotifywaitStorm()
	return append(rows, row{Name: "files.missed.inotifywait", Unit: "files", Value: missed}), err
}

func (b *bench) ourStorm() (missed, rate float64, err error) {
	root, err := os.MkdirTemp(b.dir, "storm-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(root)  //nolint:errcheck // it lies in the folder that the end removes
	seen := map[string]bool{} // written on the loop
	var count atomic.Int64
	s, err := b.supervise(fmt.Sprintf("[app.bench.handler.seen]\nagent = \"callback\"\ncall = \"seen\"\n"+
		"[app.bench.event.storm]\ntype = \"file\"\npath = %q\non = [\"create\"]\nrecursive = true\nhandler = \"seen\"\n", root),
		map[string]executor.Function{"seen": func(_ context.Context, e *aem.Event) error {
			path, directory := e.Facts[0].Value, e.Facts[4].Number == 1
			if !directory && !seen[path] {
				seen[path] = true
				count.Add(1)
			}
			return nil
		}})
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(blockTime) // until root is watched
	start := time.Now()
	all, err := storm(root)
	for end := time.Now().Add(stormPatience); err == nil && count.Load() < int64(len(all)) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(start)
	err = errors.Join(err, s.stop())
	return float64(unseen(all, seen)), float64(len(all)) / took.Seconds(), err
}

// storm makes the directories and files, and returns their paths.
func storm(root string) (all []string, err error) {
	dir := root
	for i := range stormDirectories {
		if i%2 == 0 {
			dir = root
		}
		dir = filepath.Join(dir, fmt.Sprint("d", i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		for j := range stormFiles {
			path := filepath.Join(dir, fmt.Sprint("f", j))
			f, err := os.Create(path)
			if err != nil {
				return nil, err
			}
			f.Close()
			all = append(all, path)
		}
	}
	return all, nil
}

func unseen(all []string, seen map[string]bool) (n int) {
	for _, path := range all {
		if !seen[path] {
			n++
		}
	}
	return n
}

func (b *bench) inotifywaitStorm() (missed float64, err error) {
	root, err := os.MkdirTemp(b.dir, "storm-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(root) //nolint:errcheck // as above
	cmd := exec.Command("inotifywait", "-q", "-m", "-r", "-e", "create", "--format", "%w%f", root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			seen[lines.Text()] = true
		}
	}()
	time.Sleep(10 * blockTime) // until root is watched
	all, err := storm(root)
	time.Sleep(20 * blockTime) // it tells within milliseconds
	err = errors.Join(err, cmd.Process.Kill())
	<-done
	cmd.Wait() //nolint:errcheck // it was killed
	return float64(unseen(all, seen)), err
}
