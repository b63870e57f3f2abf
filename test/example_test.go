package test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExample runs configs/aem.toml as somebody without any rights: no root, no cgroup, no /run. Its ports are changed,
// because others may have them.
func TestExample(t *testing.T) {
	s := &supervisor{t: t, dir: folder(t, nobody()), who: nobody()}
	echo, hello := freeAddress(t), freeAddress(t)
	config, err := os.ReadFile("../configs/aem.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.path("examples"), os.DirFS("../examples")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(program(t, "aem-exec")), s.path("bin")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path("configs"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("configs/aem.toml", strings.NewReplacer("127.0.0.1:7007", echo, "127.0.0.1:7008", hello).Replace(string(config)))
	if err := os.Symlink("configs/aem.toml", s.path("aem.toml")); err != nil {
		t.Fatal(err)
	}
	t.Skip(net.IPv4len)
}
