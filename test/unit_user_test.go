package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// userHome is all that the user of these tests has.
const userHome = "/run/user/65534"

// asUser is before a command that nobody gives.
var asUser = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=" + userHome, "XDG_RUNTIME_DIR=" + userHome}

// TestUnitWithoutRoot has the shipped unit run as a user to whom systemd hands the unit's cgroup: an app is held to its limits
// there, too.
func TestUnitWithoutRoot(t *testing.T) {
	aemtest.Require(t, aemtest.Root, systemdGuest)
	shipped, err := os.ReadFile("../packaging/aem-exec.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		file   string // written for it
		text   string
		reload []string
		unit   unit
	}{
		{"of the system, with User=", "/etc/systemd/system/aem-exec.service.d/user.conf", "[Service]\nUser=nobody\n",
			[]string{"systemctl", "daemon-reload"}, unit{within: "/system.slice/aem-exec.service/"}},
		{"of a user's manager", "/etc/systemd/user/aem-exec.service", string(shipped),
			[]string{"systemd-run", "--unit=manager", "-pUser=nobody", "-pDelegate=yes", "-pType=notify", "-pRuntimeDirectory=user/65534",
				"-EHOME=" + userHome, "-EXDG_RUNTIME_DIR=" + userHome, "/lib/systemd/systemd", "--user"},
			unit{as: asUser, manager: []string{"--user"}, within: "/system.slice/manager.service/app.slice/aem-exec.service/"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := c.unit
			u.t = t
			u.configure(strings.Replace(unitConfig, `user = "nobody"`, "", 1))
			u.write(c.file, c.text)
			t.Cleanup(func() {
				u.kill()
				if err := os.RemoveAll(c.file); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					out, _ := unit{}.run("journalctl", "--no-pager", "-n50")
					t.Log(out)
				}
			})
			unit{t: t}.must(c.reload...)
			u.must(u.systemctl("restart")...)
			status, err := os.ReadFile("/proc/" + u.show("MainPID") + "/status")
			if err != nil || !strings.Contains(string(status), "\nUid:\t65534\t65534\t") {
				t.Errorf("the supervisor is somebody else: %v\n%s", err, status)
			}
			u.hasItsCgroup()
			u.holdsLimits()
			u.must(u.systemctl("stop")...)
			if state, result := u.show("ActiveState"), u.show("Result"); state != "inactive" || result != "success" {
				t.Errorf("the unit is %s, with %s", state, result)
			}
			if left, _ := filepath.Glob("/sys/fs/cgroup" + u.within); left != nil {
				t.Errorf("its cgroup is left: %v", left)
			}
		})
	}
}
