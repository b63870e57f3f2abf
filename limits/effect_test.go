package limits

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// enforces is the feature of a host that enforces limits, each alone.
func enforces(l Limits) aemtest.Feature {
	return aemtest.Feature{Name: "limits " + names(l), Probe: func() error {
		tree, err := OpenTree(testName())
		if err != nil {
			return err
		}
		return tree.Missing(l)
	}}
}

func names(l Limits) string {
	var all []string
	for _, e := range l.asked() {
		all = append(all, e.name)
	}
	return strings.Join(all, " ")
}

// rest is everything that a child still says, once it has ended.
func rest(t *testing.T, out *bufio.Reader) string {
	t.Helper()
	text, err := io.ReadAll(out)
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(text))
}

// lastCPU is the last core that this process may run on.
func lastCPU(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(status), "Cpus_allowed_list:\t")
	list, _, _ = strings.Cut(list, "\n")
	cpus, err := ParseSet(list)
	if err != nil {
		t.Fatal(err)
	}
	return cpus[len(cpus)-1]
}

func TestCPUSetConfines(t *testing.T) {
	cpu := strconv.Itoa(lastCPU(t))
	aemtest.Require(t, enforces(Limits{CPUSet: cpu}))
	g := group(t, Limits{CPUSet: cpu})
	cmd, out := start(t, leaf(t, g, "a"), "", "/bin/grep", "Cpus_allowed_list", "/proc/self/status")
	if got := rest(t, out); got != "Cpus_allowed_list:\t"+cpu {
		t.Errorf("it may run on %q, want %s", got, cpu)
	}
	cmd.Wait()
}

// TestCPUSetThatIsNotThereIsRefused: v2 takes it without a word, and gives all cores.
func TestCPUSetThatIsNotThereIsRefused(t *testing.T) {
	aemtest.Require(t, aemtest.Root, enforces(Limits{CPUSet: "0"}))
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	_, err = tree.Group("app", Limits{CPUSet: "0,3000"})
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Limits[0] != "cpuset" {
		t.Errorf("refused with %v", err)
	}
	g, err := tree.Group("app", Limits{CPUSet: "0,3000", OnMissing: []string{"cpuset"}})
	if err != nil || len(g.Without()) != 1 {
		t.Fatalf("%v, without %v", err, g.Without())
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// contest is how long processes want more than there is.
const contest = 2 * time.Second

// spin uses a core from a given moment on and says how much of it it got, in milliseconds.
func spin() {
	from := moment(os.Args[1])
	time.Sleep(time.Until(from))
	before := usedCPU()
	for end := from.Add(contest); time.Now().Before(end); {
	}
	fmt.Println((usedCPU() - before).Milliseconds())
}

func usedCPU() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used) //nolint:errcheck // it fails for a bad address only
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// soon is a moment at which all children have begun, as moment reads it.
func soon() string {
	return strconv.FormatInt(time.Now().Add(time.Second+aemtest.Slow(200*time.Millisecond)).UnixMilli(), 10)
}

func moment(text string) time.Time {
	ms, _ := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms)
}

// said is the number that a child said.
func said(t *testing.T, out *bufio.Reader) int {
	t.Helper()
	n, err := strconv.Atoi(rest(t, out))
	if err != nil {
		t.Error(err)
	}
	return n
}

func TestSmallestCPUQuotaHolds(t *testing.T) {
	g := group(t, Limits{CPU: 0.009}) // whose quota in the usual period is less than the kernel takes
	l := leaf(t, g, "a")
	cmd, _ := start(t, l, "", "/bin/sh", "-c", "while :; do :; done")
	time.Sleep(time.Second)
	l.Kill()
	cmd.Wait()
	if used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); used > 300*time.Millisecond {
		t.Errorf("a hundredth of a core gave %v in a second", used)
	}
}

// anyDisk is the node of a disk that can be read.
func anyDisk() (string, error) {
	dirs, _ := filepath.Glob("/sys/block/*")
	for _, dir := range dirs {
		name := filepath.Base(dir)
		size, _ := os.ReadFile(filepath.Join(dir, "size"))
		sectors, _ := strconv.Atoi(strings.TrimSpace(string(size)))
		if f, err := os.Open("/dev/" + name); err == nil {
			f.Close()
			if sectors >= 16<<11 && !strings.HasPrefix(name, "loop") && !strings.HasPrefix(name, "zram") {
				return "/dev/" + name, nil
			}
		}
	}
	return "", errors.New("there is none in /sys/block of 16 MiB or more")
}

// aDisk is there in the guests of test/vm. Elsewhere disks are others'.
var aDisk = aemtest.Feature{Name: "a disk", Where: aemtest.GuestOnly, Probe: func() error { _, err := anyDisk(); return err }}

// openDisk opens a disk to read pieces of it past the page cache, into room, which is aligned.
func openDisk(node string, piece int) (fd int, room []byte, err error) {
	if fd, err = syscall.Open(node, syscall.O_RDONLY|syscall.O_DIRECT, 0); err == nil {
		room, err = syscall.Mmap(-1, 0, piece, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	}
	return fd, room, err
}

// readDisk reads the beginning of a disk.
func readDisk() {
	const piece = 256 << 10
	fd, room, err := openDisk(os.Args[1], piece)
	if err != nil {
		fmt.Println(err)
		return
	}
	began := time.Now()
	for range 8 {
		if n, err := syscall.Read(fd, room); n != piece {
			fmt.Println(n, err)
			return
		}
	}
	fmt.Println(time.Since(began).Milliseconds())
}

func TestIOIsThrottled(t *testing.T) {
	disk, err := anyDisk()
	limit := Limits{IO: IO{Devices: []Device{{Path: disk, ReadBytes: 1 << 20}}}}
	aemtest.Require(t, aemtest.Root, aDisk, enforces(limit))
	if err != nil {
		t.Fatal(err)
	}
	g := group(t, limit)
	cmd, out := start(t, leaf(t, g, "a"), "disk", os.Args[0], disk)
	if ms := said(t, out); ms < 1500 { // 2 MiB at 1 MiB/s
		t.Errorf("2 MiB were read in %d ms", ms)
	}
	cmd.Wait()
}

func TestDiskOfAPath(t *testing.T) {
	aemtest.Require(t, aDisk)
	node, err := anyDisk()
	if err != nil {
		t.Fatal(err)
	}
	major, minor, err := disk(node)
	if err != nil {
		t.Fatal(err)
	}
	if again, other, err := disk(fmt.Sprintf("%d:%d", major, minor)); again != major || other != minor || err != nil {
		t.Errorf("%d:%d is %d:%d, %v", major, minor, again, other, err)
	}
	for _, path := range []string{"/no/such/path", "/proc", "7777:1"} {
		if _, _, err := disk(path); err == nil {
			t.Errorf("%s has a disk", path)
		}
	}
}

// TestIOWeightNeedsWhoKnowsWeights: the file takes any weight, whether a disk looks at it or not.
func TestIOWeightNeedsWhoKnowsWeights(t *testing.T) {
	limit := Limits{IO: IO{Weight: 200}}
	aemtest.Require(t, aemtest.Root, enforces(limit))
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	costs, _ := os.ReadFile("/sys/fs/cgroup/io.cost.qos")
	shared := schedulerBFQ() || strings.Contains(string(costs), "enable=1")
	g, err := tree.Group("app", limit)
	if shared != (err == nil) || err != nil && !strings.Contains(err.Error(), "no disk of this host is shared by weight") {
		t.Errorf("shared by weight %v: %v", shared, err)
	}
	if g != nil {
		g.Remove()
	}
}
