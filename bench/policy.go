package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/aem-exec/aem-exec/internal/libseccomp"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/policy"
)

// policySamples is how many samples a block of the group has.
const policySamples = 40

// rivals are the default profile's filter and what libseccomp makes of the same profile.
type rivals struct {
	profile *policy.Profile
	host    policy.Host
	program *policy.Program
	library string // the program that libseccomp is in; "" where it is not installed
	rules   string // the profile in its words
	size    int    // of its filter, in instructions
	ours    string // files with filters
	theirs  string
	none    string // an empty one
	least   string // one that allows everything, at once
}

func (b *bench) rivals() (r *rivals, err error) {
	r = &rivals{}
	if r.profile, err = policy.Builtin(policy.Default, policy.Only); err != nil {
		return nil, err
	}
	if r.host, err = policy.ThisHost(0); err != nil {
		return nil, err
	}
	if r.program, err = policy.Compile(r.profile, r.host, policy.Only); err != nil {
		return nil, err
	}
	if r.ours, err = b.filterFile("ours", r.program.Insns); err != nil {
		return nil, err
	}
	if r.none, err = b.filterFile("none", nil); err != nil {
		return nil, err
	}
	const ret = 0x06
	if r.least, err = b.filterFile("least", []sys.SockFilter{{Code: ret, K: sys.SECCOMP_RET_ALLOW}}); err != nil {
		return nil, err
	}
	return r, b.addLibrary(r)
}

func (b *bench) filterFile(name string, insns []sys.SockFilter) (string, error) {
	file := filepath.Join(b.dir, name+".bpf")
	out, err := os.Create(file)
	if err != nil {
		return "", err
	}
	return file, errors.Join(binary.Write(out, binary.NativeEndian, insns), out.Close())
}

// addLibrary has libseccomp make the same filter, where it is installed.
func (b *bench) addLibrary(r *rivals) (err error) {
	if err := libseccomp.Missing(); err != nil {
		b.say("libseccomp-dev is not installed, and left out: %v", err)
		return nil
	}
	if r.library, err = libseccomp.Build(b.dir); err != nil {
		return err
	}
	r.rules = filepath.Join(b.dir, "rules")
	words := libseccomp.Words(r.profile.Resolve(r.host).OCI(), libseccomp.InOrder, r.host.Arch.String())
	if err := os.WriteFile(r.rules, []byte(words), 0o600); err != nil {
		return err
	}
	out, err := exec.Command(r.library, "export", r.rules).Output()
	if err != nil {
		return fmt.Errorf("libseccomp: %w", err)
	}
	r.size = len(out) / sizeofSockFilter
	r.theirs = filepath.Join(b.dir, "theirs.bpf")
	return os.WriteFile(r.theirs, out, 0o600)
}

// sizeofSockFilter is the size of struct sock_filter (linux/filter.h).
const sizeofSockFilter = 8

// benchPolicy makes, measures and uses the default filter. Making it is from the parsed profile to the program, for both.
func benchPolicy(b *bench) (rows []row, err error) {
	r, err := b.rivals()
	if err != nil {
		return nil, err
	}
	size := row{Name: "policy.size", Unit: "instructions", Value: float64(len(r.program.Insns))}
	compile := func() error {
		_, err := policy.Compile(r.profile, r.host, policy.Only)
		return err
	}
	contenders := []contender{{"ours", func() ([]float64, error) { return clock(policySamples, 1, compile) }}}
	theirs := ""
	if r.library != "" {
		size.against(float64(r.size), size.Value/float64(r.size))
		f, err := startFloor(nil, r.library, "time", r.rules)
		if err != nil {
			return nil, err
		}
		defer f.close() //nolint:errcheck // it has nothing to lose
		contenders = append(contenders, contender{"theirs", func() ([]float64, error) { return f.block(policySamples) }})
		theirs = "theirs"
	}
	made, err := interleave(turns, contenders...)
	if err != nil {
		return nil, err
	}
	rows = append(made.rows("policy.compile", "ns", "ours", theirs), size)
	installed, err := b.filterCosts("install", map[string]string{"ours": r.ours, "theirs": r.theirs, "least": r.least})
	if err != nil {
		return nil, err
	}
	called, err := b.filterCosts("call", map[string]string{"ours": r.ours, "none": r.none, "least": r.least})
	if err != nil {
		return nil, err
	}
	rows = append(rows, installed.rows("policy.install", "ns", "ours", theirs)...)
	rows = append(rows, installed.rows("policy.install.least", "ns", "ours", "least")[0])
	rows = append(rows, called.rows("policy.call", "ns", "ours", "none")...)
	rows = append(rows, called.rows("policy.call.least", "ns", "ours", "least")[0])
	return append(rows, called.rows("policy.call.any", "ns", "least", "none")[0]), nil
}

// filterCosts measures what filters cost, given by the names of their files.
func (b *bench) filterCosts(word string, files map[string]string) (results, error) {
	program, err := b.compile("filtered")
	if err != nil {
		return nil, err
	}
	var contenders []contender
	for name, file := range files {
		if file == "" {
			continue
		}
		f, err := startFloor(nil, program, word, file)
		if err != nil {
			return nil, err
		}
		defer f.close() //nolint:errcheck // it has nothing to lose
		contenders = append(contenders, contender{name, func() ([]float64, error) { return f.block(policySamples) }})
	}
	return interleave(turns, contenders...)
}
