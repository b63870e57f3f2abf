package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mirror is the archive of a Debian suite, with an index of its own below dir: of apt's state and sources on the host
// it uses only where the host's mirror is.
type mirror struct{ dir, suite string }

// keyring has the keys of Debian's archives.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// openMirror fetches the index of a suite, and of the one that backports are for.
func openMirror(dir, suite string) (*mirror, error) {
	uri, err := repository(suite)
	if err != nil {
		return nil, err
	}
	m := &mirror{dir, suite}
	for _, below := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
			return nil, err
		}
	}
	source := ""
	for _, name := range slices.Compact([]string{suite, strings.TrimSuffix(suite, "-backports")}) {
		source += fmt.Sprintf("deb [arch=amd64 signed-by=%s] %s %s main\n", keyring, uri, name)
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(source), 0o644); err != nil {
		return nil, err
	}
	_, err = m.apt("apt-get", "update")
	return m, err
}

// repository is the address of the archive of a suite on the mirror that the host is set up for. Security updates have
// an archive of their own.
func repository(suite string) (string, error) {
	targets, err := output("", "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
	if err != nil {
		return "", err
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	_, host, _ := strings.Cut(string(release), "VERSION_CODENAME=")
	host, _, _ = strings.Cut(host, "\n")
	if strings.HasSuffix(suite, "-security") {
		host += "-security"
	}
	for line := range strings.Lines(targets) {
		if uri, release, _ := strings.Cut(strings.TrimSpace(line), " "); release == host {
			return uri, nil
		}
	}
	return "", fmt.Errorf("apt has no source of %q (a host with Debian is needed)", host)
}

// apt runs one of apt's programs with our index, in the directory of the packages.
func (m *mirror) apt(program string, args ...string) (string, error) {
	at := func(name string) string { return filepath.Join(m.dir, name) }
	return output(at("cache/archives"), program, append([]string{
		"-qq", "-o", "Dir::Etc::sourcelist=" + at("sources.list"), "-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::State::lists=" + at("lists"), "-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache=" + at("cache"),
		"-o", "APT::Sandbox::User=root", "-o", "APT::Install-Recommends=false",
	}, args...)...)
}

// Package is a Debian package of one version. Mirrors have a version as long as the index of its suite names it. The
// sum is that of the package's file; without one, what the archive's signed index says is enough.
type Package struct{ Name, Version, SHA256 string }

// file is what the package's file is called: a colon would be no character of a file name.
func (p Package) file() string {
	return p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_amd64.deb"
}

// download fetches packages, and nothing that they depend on.
func (m *mirror) download(packages []Package) error {
	args := []string{"download"}
	for _, p := range packages {
		args = append(args, p.Name+"="+p.Version)
	}
	if _, err := m.apt("apt-get", args...); err != nil {
		return err
	}
	for _, p := range packages {
		b, err := os.ReadFile(filepath.Join(m.dir, "cache/archives", p.file()))
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(b); p.SHA256 != "" && hex.EncodeToString(sum[:]) != p.SHA256 {
			return fmt.Errorf("%s %s has the SHA-256 sum %x, not the one that is known", p.Name, p.Version, sum)
		}
	}
	return nil
}

// downloadWhole fetches packages with everything that they need, as for a system on which nothing is installed.
func (m *mirror) downloadWhole(packages ...string) error {
	_, err := m.apt("apt-get", append([]string{"install", "--download-only", "--yes", "--target-release", m.suite}, packages...)...)
	return err
}

// unpack unpacks all that was fetched, and runs nothing of it.
func (m *mirror) unpack(dir string) error {
	packages, err := filepath.Glob(filepath.Join(m.dir, "cache/archives/*.deb"))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if _, err := output("", "dpkg-deb", "--extract", p, dir); err != nil {
			return err
		}
	}
	return nil
}

// kernelImage is the name of a package with a kernel for clouds.
var kernelImage = regexp.MustCompile(`\bDepends:.* linux-image-(\d\S+-cloud-amd64) \(= (.+?)\)`)

// newestKernel is the packages of the suite's newest kernel: its image, or the parts that a newer suite splits it into.
func (m *mirror) newestKernel() ([]Package, error) {
	text, err := m.apt("apt-cache", "show", "--no-all-versions", "linux-image-cloud-amd64")
	if err != nil {
		return nil, err
	}
	found := kernelImage.FindStringSubmatch(text)
	if found == nil {
		return nil, errors.New("linux-image-cloud-amd64 depends on no image")
	}
	var packages []Package
	for _, part := range []string{"image", "binary", "modules"} {
		p := Package{Name: "linux-" + part + "-" + found[1], Version: found[2]}
		if _, err := m.apt("apt-cache", "show", p.Name); err == nil {
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// output is what a program writes, its complaints in the error.
func output(dir, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %v: %s", program, err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
