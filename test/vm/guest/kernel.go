package guest

import (
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Suite is a Debian suite with a kernel in it.
type Suite struct {
	Name   string
	Kernel []Package // when the mirror no longer has one of them, the suite's newest kernel is taken
}

// Kernel is a kernel that a guest can boot.
type Kernel struct {
	Version string   // of its package
	Image   string   // a bzImage
	Modules []string // files of modules, in the order in which they can be loaded
}

// modules are what tests need of a kernel that Debian does not link in, each after those that it depends on. A kernel
// that has one built in has no file of it.
var modules = []string{
	"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
	"udp_tunnel", "ip6_udp_tunnel", "tipc", "libcrc32c", "sctp", "fuse", "loop",
}

// FetchKernel gives a suite's kernel, from the cache or from the mirror that the host uses.
func FetchKernel(s Suite) (*Kernel, error) {
	name := fmt.Sprintf("kernel-%08x", crc32.ChecksumIEEE([]byte(strings.Join(modules, " "))))
	dir, version, err := cached(s.Name, name, s.fetchKernel)
	if err != nil {
		return nil, err
	}
	k := &Kernel{Version: version, Image: filepath.Join(dir, "vmlinuz")}
	for _, name := range modules {
		for _, suffix := range []string{".ko", ".ko.xz"} {
			file := filepath.Join(dir, name+suffix)
			if _, err := os.Stat(file); err == nil {
				k.Modules = append(k.Modules, file)
			}
		}
	}
	return k, nil
}

// fetchKernel puts the image of the suite's kernel and its modules into keep.
func (s Suite) fetchKernel(m *mirror, keep string) (version string, err error) {
	packages := s.Kernel
	if m.download(packages) != nil {
		if packages, err = m.newestKernel(); err != nil {
			return "", err
		}
		if err := m.download(packages); err != nil {
			return "", err
		}
	}
	root := filepath.Join(m.dir, "root")
	if err := m.unpack(root); err != nil {
		return "", err
	}
	return packages[0].Version, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		module, _, isModule := strings.Cut(name, ".ko")
		switch {
		case strings.HasPrefix(name, "vmlinuz"):
			name = "vmlinuz"
		case !isModule || !slices.Contains(modules, module):
			return nil
		}
		return os.Rename(path, filepath.Join(keep, name))
	})
}
