package policy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/libseccomp"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// oracle is a program that says what libseccomp does.
type oracle struct{ path string }

func newOracle(t *testing.T) oracle {
	t.Helper()
	aemtest.Require(t, aemtest.Feature{Name: "libseccomp", Where: aemtest.HostOnly, Probe: libseccomp.Missing})
	path, err := libseccomp.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return oracle{path}
}

// ask runs the oracle.
func (o oracle) ask(t *testing.T, input string, args ...string) (out []byte, refused string) {
	t.Helper()
	cmd := exec.Command(o.path, args...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("libseccomp %v: %v: %s", args, err, &stderr)
	}
	return stdout.Bytes(), stderr.String()
}

// numbers is what libseccomp takes for the number of each call on an architecture, in the order of our table; negative
// for none.
func (o oracle) numbers(t *testing.T, a Arch) []int {
	t.Helper()
	var input strings.Builder
	for i := range syscallTable {
		fmt.Fprintln(&input, syscallTable[i].name)
	}
	out, _ := o.ask(t, input.String(), "names", a.String())
	var all []int
	for line := range strings.Lines(string(out)) {
		nr, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, nr)
	}
	return all
}

// program is what libseccomp makes of a profile.
func (o oracle) program(t *testing.T, p *Profile, native Arch, level libseccomp.Optimize) (prog *Program, refused string) {
	t.Helper()
	var others []string
	for _, a := range kernels[native] {
		if p.lists(a) {
			others = append(others, a.String())
		}
	}
	file := filepath.Join(t.TempDir(), "profile")
	if err := os.WriteFile(file, []byte(libseccomp.Words(p.OCI(), level, native.String(), others...)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, refused := o.ask(t, "", "export", file)
	insns := make([]sys.SockFilter, len(out)/8)
	if err := binary.Read(bytes.NewReader(out), binary.NativeEndian, insns); err != nil {
		t.Fatal(err)
	}
	return &Program{Insns: insns}, refused
}

// TestTableAgreesWithLibseccomp compares the numbers of all system calls. What may differ:
//
//   - a call that is newer than the library, which does not know its name at all;
//   - on x86, a call that socketcall or ipc stands for: the library has a word of its own for both ways to make it (of
//     -100 and below), our table the number of the direct way.
func TestTableAgreesWithLibseccomp(t *testing.T) {
	o := newOracle(t)
	newer := strings.Fields(`uretprobe uprobe statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal
		setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr listns rseq_slice_yield`)
	for a := range archs {
		known := o.numbers(t, a)
		for i, row := range syscallTable {
			ours, there := row.number(a)
			switch nr := known[i]; {
			case there && int(ours) == nr, !there && nr < 0:
			case nr == -1 && slices.Contains(newer, row.name):
			case nr <= -100 && a == X86 && multiplexed(row.name):
			default:
				t.Errorf("%v: %s is %d (%v), libseccomp says %d", a, row.name, ours, there, nr)
			}
		}
	}
}

// multiplexed reports whether a call can be made through another one on x86.
func multiplexed(name string) bool {
	for _, m := range multiplexers {
		if _, ok := m.calls[name]; ok {
			return true
		}
	}
	return false
}
