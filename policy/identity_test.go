package policy

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	files := accounts{filepath.Join(dir, "passwd"), filepath.Join(dir, "group")}
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(files.passwd, "root:x:0:0::/root:/bin/bash\nweb:x:33:33::/srv:/bin/sh\n1000:x:7:8::/odd:/bin/odd\nthousand:x:1000:1000::/t:/bin/t\nminus:x:-1:-1::/:/bin/sh\n")
	write(files.group, "web:x:33:\nssl:x:40:root,web\nlog:x:4:web\n50:x:51:\n")
	account := func(uid, gid uint32, name, home, shell string, groups ...uint32) Identity {
		return Identity{uid, gid, groups, name, home, shell}
	}
	tests := []struct {
		name, user, group string
		groups            []string
		want              Identity
		err               string
	}{
		{name: "by name", user: "web", want: account(33, 33, "web", "/srv", "/bin/sh", 4, 33, 40)},
		{name: "by number", user: "33", want: account(33, 33, "web", "/srv", "/bin/sh", 4, 33, 40)},
		{name: "name before number", user: "1000", want: account(7, 8, "1000", "/odd", "/bin/odd", 8)},
		{name: "other group", user: "web", group: "ssl", want: account(33, 40, "web", "/srv", "/bin/sh", 4, 40)},
		{name: "group of digits", user: "web", group: "50", want: account(33, 51, "web", "/srv", "/bin/sh", 4, 40, 51)},
		{name: "given groups", user: "web", groups: []string{"log", "77"}, want: account(33, 33, "web", "/srv", "/bin/sh", 4, 33, 77)},
		{name: "no groups", user: "web", groups: []string{}, want: account(33, 33, "web", "/srv", "/bin/sh", 33)},
		{name: "number without account", user: "555", group: "555", want: account(555, 555, "555", "/", "/bin/sh", 555)},
		{name: "group is not guessed", user: "555", err: "find user 555: not in " + files.passwd + ", so its group must be given"},
		{name: "unknown user", user: "nobody", err: `find user "nobody": not in ` + files.passwd},
		{name: "no change is no user", user: "4294967295", group: "web", err: `find user "4294967295": not in ` + files.passwd},
		{name: "no ids", user: "minus", err: `find user "minus": ` + files.passwd + " says -1:-1, which are no ids"},
		{name: "unknown group", user: "web", group: "x", err: `find group "x": not in ` + files.group},
		{name: "unknown other group", user: "web", groups: []string{"y"}, err: `find group "y": not in ` + files.group},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := files.identity(tt.user, tt.group, tt.groups)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error is %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestOwnIdentity(t *testing.T) {
	id, err := LookupIdentity("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if id.UID != uint32(os.Geteuid()) || id.GID != uint32(os.Getegid()) || id.Name == "" {
		t.Errorf("own identity is %+v", id)
	}
}
