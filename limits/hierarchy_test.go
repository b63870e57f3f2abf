package limits

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Texts of real kernels: /proc/self/cgroup and the cgroup lines of /proc/self/mountinfo.
const (
	hybridCgroup = `9:name=systemd:/
8:pids:/
4:memory:/jobs/7
1:cpu,cpuacct:/
0::/
`
	hybridMounts = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	unifiedMount = "24 20 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
	localMount   = "24 20 0:22 / /sys/fs/cgroup rw - cgroup2 none rw,pids_localevents\n"
	dockerCgroup = "3:memory:/docker/c0ffee\n2:pids:/docker/c0ffee\n"
	dockerMounts = `913 911 0:32 /docker/c0ffee /sys/fs/cgroup/memory ro,nosuid master:15 - cgroup cgroup rw,memory
914 911 0:36 /docker/other /sys/fs/cgroup/pids ro,nosuid master:16 - cgroup cgroup rw,pids
`
)

func TestDiscover(t *testing.T) {
	for _, c := range []struct{ name, cgroup, mountinfo, want string }{
		{"no cgroups", "", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", ""},
		{"not mounted", "0::/\n", "", ""},
		{"hybrid", hybridCgroup, hybridMounts,
			"unified /sys/fs/cgroup/unified | cpu cpuacct /sys/fs/cgroup/cpu,cpuacct | memory /sys/fs/cgroup/memory/jobs/7 | " +
				"pids /sys/fs/cgroup/pids | name=systemd /sys/fs/cgroup/systemd"},
		{"service", "0::/system.slice/aem.service\n", unifiedMount, "unified /sys/fs/cgroup/system.slice/aem.service"},
		{"executed again", "0::/system.slice/aem.service/aem-supervisor\n", unifiedMount,
			"unified /sys/fs/cgroup/system.slice/aem.service"},
		{"namespace root", "0::/\n", unifiedMount, "unified /sys/fs/cgroup"},
		{"local counts", "0::/x\n", localMount, "unified local /sys/fs/cgroup/x"},
		{"outside the mount", "0::/../other\n", unifiedMount, ""},
		{"container on v1", dockerCgroup, dockerMounts, "memory /sys/fs/cgroup/memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := discover("aem-supervisor", c.cgroup, c.mountinfo)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range found {
				words := slices.Clone(h.controllers)
				if h.unified {
					words = append(words, "unified")
				}
				if h.localPIDs {
					words = append(words, "local")
				}
				got = append(got, strings.Join(append(words, h.home), " "))
			}
			if got := strings.Join(got, " | "); got != c.want {
				t.Errorf("found\n%s, want\n%s", got, c.want)
			}
		})
	}
}

func FuzzDiscover(f *testing.F) {
	f.Add(hybridCgroup, hybridMounts)
	f.Add(dockerCgroup, dockerMounts)
	f.Add("0::/../other\n", unifiedMount)
	f.Fuzz(func(t *testing.T, cgroup, mountinfo string) {
		found, _ := discover("aem-supervisor", cgroup, mountinfo)
		for _, h := range found {
			if !strings.HasPrefix(h.home+"/", strings.TrimSuffix(h.mount, "/")+"/") {
				t.Errorf("home %q outside the mount %q", h.home, h.mount)
			}
		}
	})
}

func TestVerdictsTellEachCauseOnce(t *testing.T) {
	v := verdicts{limits: Limits{OnMissing: []string{"cpu"}}}
	v.missing("memory", fmt.Errorf("no memory"))
	v.missing("swap", fmt.Errorf("no memory"))
	v.missing("cpu", fmt.Errorf("no cpu"))
	v.missing("pids", fmt.Errorf("no pids"))
	if got, want := v.err().Error(), "enforce memory, swap, pids: no memory; no pids"; got != want {
		t.Errorf("refused with %q, want %q", got, want)
	}
	if !slices.Equal(v.without, []string{"cpu"}) {
		t.Errorf("without %v, want cpu", v.without)
	}
}
