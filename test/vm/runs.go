package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/aem-exec/aem-exec/test/vm/guest"
)

// run is one guest and what happens in it.
type run struct {
	name    string
	suite   guest.Suite
	tree    func(*binaries) (guest.Tree, error)
	init    string // PID 1
	command string // more of the kernel's command line
	steps   []guest.Step
}

// The kernels of the tests: one as new as there is, and the oldest that the project is for.
var (
	newest = guest.Suite{Name: "trixie-backports", Kernel: []guest.Package{
		{Name: "linux-binary-7.2.12+deb13-cloud-amd64", Version: "7.2.12-1~bpo13+1",
			SHA256: "aa6720823145e351d3c817c95fe58d89995a2bcba4978ad2418c36a1c272f795"},
		{Name: "linux-modules-7.2.12+deb13-cloud-amd64", Version: "7.2.12-1~bpo13+1",
			SHA256: "2f15b42b88ae56836b5fb3ac74c6cb795047891a5a25e5e69dedf8805b54017d"},
	}}
	oldest = guest.Suite{Name: "bookworm-security", Kernel: []guest.Package{
		{Name: "linux-image-6.1.0-56-cloud-amd64", Version: "6.1.192-2",
			SHA256: "e7d02b943971edcb8790e256c02cfab3bca6c3d37c1bf25392a57c71300615ee"},
	}}
)

// runs are what there is to run.
var runs = []run{
	{"new", newest, (*binaries).hostTree, "/programs/init", "", newSteps()},
	{"old", oldest, (*binaries).hostTree, "/programs/init", "", oldSteps()},
	{"systemd", newest, (*binaries).systemdTree, "/sbin/init", systemdCommand, systemdSteps()},
}

// diskBytes is the size of an empty disk that every guest has.
const diskBytes = 64 << 20

// boot runs the guest.
func (r run) boot(ctx context.Context, b *binaries, o options) error {
	e, err := guest.FetchEmulator()
	if err != nil {
		return err
	}
	k, err := guest.FetchKernel(r.suite)
	if err != nil {
		return err
	}
	fmt.Printf("vm: %s: Linux %s of %s, in QEMU %s\n", r.name, k.Version, r.suite.Name, e.Version)
	if known := r.suite.Kernel[0].Version; k.Version != known {
		fmt.Printf("vm: %s: the mirror no longer has %s, with which the tests are known to pass\n", r.name, known)
	}
	t, err := r.tree(b)
	if err == nil {
		err = b.addTests(t)
	}
	if err != nil {
		return err
	}
	plan := guest.Plan{Steps: slices.DeleteFunc(slices.Clone(r.steps), func(s guest.Step) bool { return !o.steps.MatchString(s.Name) })}
	for i := range plan.Steps {
		if o.tests != "" {
			plan.Steps[i].Argv = append(plan.Steps[i].Argv, "-test.run="+o.tests)
		}
	}
	for _, file := range k.Modules {
		module := "/modules/" + filepath.Base(file)
		plan.Modules = append(plan.Modules, module)
		if err := t.File(module, file); err != nil {
			return err
		}
	}
	if err := t.AddPlan(plan); err != nil {
		return err
	}
	initrd := filepath.Join(b.dir, r.name+".initrd")
	if err := pack(t, initrd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	c, err := newConsole(r.name, o.verbose)
	if err != nil {
		return err
	}
	disk := filepath.Join(b.dir, r.name+".disk")
	if err := errors.Join(os.WriteFile(disk, nil, 0o600), os.Truncate(disk, diskBytes)); err != nil {
		return err
	}
	err = guest.Machine{Emulator: e, Image: k.Image, Initrd: initrd, Init: r.init, Append: r.command, Disk: disk, MemoryMiB: 2048}.Boot(ctx, c)
	return c.end(err)
}

func pack(t guest.Tree, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := t.Pack(f); err != nil {
		return err
	}
	return f.Close()
}
