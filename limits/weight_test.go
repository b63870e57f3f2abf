package limits

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// contend has two groups want the same, each by a process that says how much it got, from a given moment on.
func contend(t *testing.T, light, heavy Limits, part string, args ...string) (little, much int) {
	t.Helper()
	g := group(t, light)
	other, err := g.tree.Group("other", heavy)
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{os.Args[0], soon()}, args...)
	first, firstOut := start(t, leaf(t, g, "a"), part, argv...)
	second, secondOut := start(t, leaf(t, other, "a"), part, argv...)
	little, much = said(t, firstOut), said(t, secondOut)
	first.Wait()
	second.Wait()
	waitEmpty(t, other.leaves["a"])
	if err := other.Remove(); err != nil {
		t.Error(err)
	}
	return little, much
}

// TestCPUWeightsShareACore has two groups want the same core.
func TestCPUWeightsShareACore(t *testing.T) {
	cpu := strconv.Itoa(lastCPU(t))
	light, heavy := Limits{CPUSet: cpu, CPUWeight: 50}, Limits{CPUSet: cpu, CPUWeight: 800}
	aemtest.Require(t, enforces(light))
	if little, much := contend(t, light, heavy, "spin"); much < 3*little {
		t.Errorf("weight 50 got %d ms, weight 800 %d ms", little, much)
	}
}

// ioCost is one of the two that know weights of disks. It is set for the whole machine.
var ioCost = aemtest.Feature{Name: "io.cost", Where: aemtest.GuestOnly, Probe: func() error {
	_, err := os.Stat(cgroupRoot + "/io.cost.qos")
	return errors.Join(aemtest.Guest.Probe(), err)
}}

const cgroupRoot = "/sys/fs/cgroup"

// costly has the kernel share a disk by weight, and take it for one of so many bytes in a second, until the test ends
// (Documentation/admin-guide/cgroup-v2.rst, "IO Interface Files").
func costly(t *testing.T, node string, bytesPerSecond int) {
	t.Helper()
	major, minor, err := disk(node)
	if err != nil {
		t.Fatal(err)
	}
	number := fmt.Sprintf("%d:%d ", major, minor)
	t.Cleanup(func() {
		if err := write(cgroupRoot, "io.cost.qos", number+"enable=0"); err != nil {
			t.Error(err)
		}
	})
	const many = 1_000_000 // operations that are free, but for their bytes
	model := fmt.Sprintf("ctrl=user model=linear rbps=%d rseqiops=%d rrandiops=%[2]d wbps=%[1]d wseqiops=%[2]d wrandiops=%[2]d", bytesPerSecond, many)
	if err := errors.Join(
		write(cgroupRoot, "io.cost.model", number+model),
		write(cgroupRoot, "io.cost.qos", number+"enable=1 ctrl=user rpct=0 wpct=0 min=100 max=100"), // a disk that never tires
	); err != nil {
		t.Fatal(err)
	}
}

// shareDisk reads a disk from a given moment on, and says how many pieces it got.
func shareDisk() {
	const piece, pieces = 16 << 10, 16 << 20 / (16 << 10)
	fd, room, err := openDisk(os.Args[2], piece)
	if err != nil {
		fmt.Println(err)
		return
	}
	from := moment(os.Args[1])
	time.Sleep(time.Until(from))
	n := 0
	for end := from.Add(contest); time.Now().Before(end); n++ {
		if read, err := syscall.Pread(fd, room, int64(n%pieces)*piece); read != piece {
			fmt.Println(read, err)
			return
		}
	}
	fmt.Println(n)
}

// TestIOWeightsShareADisk has two groups read the same disk, each as much as it can.
func TestIOWeightsShareADisk(t *testing.T) {
	node, err := anyDisk()
	aemtest.Require(t, aemtest.Root, aDisk, ioCost)
	if err != nil {
		t.Fatal(err)
	}
	costly(t, node, 2<<20)
	light, heavy := Limits{IO: IO{Weight: 50}}, Limits{IO: IO{Weight: 800}}
	if little, much := contend(t, light, heavy, "share", node); much < 3*little {
		t.Errorf("weight 50 read %d pieces, weight 800 %d", little, much)
	}
}
