package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/aem-exec/aem-exec/test/vm/guest"
)

// The guest of systemd has it as PID 1, in the oldest version that packaging/aem-exec.service is for, and nothing of the
// host. Its one target runs the plan as a service.
const (
	systemdSuite   = "bookworm"
	systemdCommand = "systemd.unit=plan.target systemd.show_status=0 audit=0"
)

// systemdPackages are what its files are of: a small system, unpacked and never configured.
var systemdPackages = []string{"systemd", "systemd-sysv", "base-files", "coreutils", "dash", "grep", "util-linux"}

// unneeded are folders that no program reads.
var unneeded = []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo", "usr/share/bash-completion"}

// systemdFiles are files beside those of the packages.
var systemdFiles = map[string]string{
	"etc/machine-id": "0123456789abcdef0123456789abcdef\n",
	"etc/passwd":     "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"etc/group":      "root:x:0:\nnogroup:x:65534:\n",
	"etc/hosts":      "127.0.0.1 localhost\n",
	"etc/systemd/system/plan.target": `[Unit]
Requires=plan.service
AllowIsolate=yes
`,
	"etc/systemd/system/plan.service": `[Unit]
After=basic.target
Requires=basic.target
[Service]
ExecStart=/programs/init
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
`,
}

// systemdTree is the files of that guest.
func (b *binaries) systemdTree() (guest.Tree, error) {
	dir, version, err := guest.FetchSystem(systemdSuite, systemdPackages...)
	if err != nil {
		return nil, err
	}
	fmt.Printf("vm: systemd %s of %s\n", version, systemdSuite)
	t := guest.NewTree()
	err = t.Folder("", filepath.Join(dir, "root"), func(rel string) bool {
		for _, folder := range unneeded {
			if strings.HasPrefix(rel, folder) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	for name, text := range systemdFiles {
		t.Text(name, text)
	}
	if err := t.File("usr/bin/aem-exec", b.programs("aem-exec")); err != nil {
		return nil, err
	}
	return t, t.File("etc/systemd/system/aem-exec.service", "packaging/aem-exec.service")
}

// systemdSteps has the shipped unit do what it says.
func systemdSteps() []guest.Step {
	return []guest.Step{testStep("unit", "test", "-test.run=^TestUnit")}
}
