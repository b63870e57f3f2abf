package policy

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/moby/sys/user"
)

// Identity is who a handler runs as.
type Identity struct {
	UID, GID          uint32
	Groups            []uint32 // supplementary, sorted; the GID among them, as by initgroups(3)
	Name, Home, Shell string   // of the account; without one the number, "/" and "/bin/sh"
}

// LookupIdentity finds a user and groups, each by name or number, in /etc/passwd and /etc/group. No user means the
// one who asks, with the groups held now; no group means the user's, and nil groups mean those the user is in.
// A number need not have an account, but then its group must be named: none is guessed.
func LookupIdentity(user, group string, groups []string) (Identity, error) {
	return accounts{"/etc/passwd", "/etc/group"}.identity(user, group, groups)
}

// accounts are the two files.
type accounts struct{ passwd, group string }

func (a accounts) identity(user, group string, groups []string) (Identity, error) {
	id, known, err := a.user(user)
	if err != nil {
		return Identity{}, err
	}
	switch {
	case group != "":
		if id.GID, err = a.gid(group); err != nil {
			return Identity{}, err
		}
	case !known:
		return Identity{}, fmt.Errorf("find user %s: not in %s, so its group must be given", user, a.passwd)
	}
	switch {
	case groups != nil:
		id.Groups = make([]uint32, len(groups))
		for i, g := range groups {
			if id.Groups[i], err = a.gid(g); err != nil {
				return Identity{}, err
			}
		}
	case user == "":
		id.Groups, err = ownGroups()
	default:
		id.Groups, err = a.groupsOf(id.Name)
	}
	if err != nil {
		return Identity{}, err
	}
	id.Groups = append(id.Groups, id.GID)
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	return id, nil
}

// user returns an account without its supplementary groups, and whether its group is known. A name that looks like a
// number is a name first, as in chown(1).
func (a accounts) user(spec string) (id Identity, known bool, err error) {
	number, isNumber := parseID(spec)
	if spec == "" {
		number, isNumber = uint32(os.Geteuid()), true
	}
	found, err := user.ParsePasswdFileFilter(a.passwd, func(u user.User) bool {
		return spec != "" && u.Name == spec || isNumber && u.Uid == int(number)
	})
	if err != nil && !os.IsNotExist(err) {
		return Identity{}, false, fmt.Errorf("find user %q: %v", spec, err)
	}
	id = Identity{UID: number, Name: strconv.Itoa(int(number)), Home: "/", Shell: "/bin/sh"}
	if i := max(slices.IndexFunc(found, func(u user.User) bool { return u.Name == spec }), 0); i < len(found) {
		u := found[i]
		if !isID(u.Uid) || !isID(u.Gid) {
			return Identity{}, false, fmt.Errorf("find user %q: %s says %d:%d, which are no ids", spec, a.passwd, u.Uid, u.Gid)
		}
		id = Identity{UID: uint32(u.Uid), GID: uint32(u.Gid), Name: u.Name, Home: u.Home, Shell: u.Shell}
		known = true
	}
	switch {
	case spec == "":
		id.GID = uint32(os.Getegid())
		return id, true, nil
	case !known && !isNumber:
		return Identity{}, false, fmt.Errorf("find user %q: not in %s", spec, a.passwd)
	}
	return id, known, nil
}

// gid returns the number of a group.
func (a accounts) gid(spec string) (uint32, error) {
	found, err := user.ParseGroupFileFilter(a.group, func(g user.Group) bool { return g.Name == spec })
	if err != nil && !os.IsNotExist(err) {
		return 0, fmt.Errorf("find group %q: %v", spec, err)
	}
	if len(found) > 0 && isID(found[0].Gid) {
		return uint32(found[0].Gid), nil
	}
	if number, ok := parseID(spec); ok {
		return number, nil
	}
	return 0, fmt.Errorf("find group %q: not in %s", spec, a.group)
}

// groupsOf returns the groups that list a user.
func (a accounts) groupsOf(name string) ([]uint32, error) {
	found, err := user.ParseGroupFileFilter(a.group, func(g user.Group) bool { return slices.Contains(g.List, name) })
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("find groups of %q: %v", name, err)
	}
	ids := make([]uint32, len(found))
	for i, g := range found {
		ids[i] = uint32(g.Gid)
	}
	return ids, nil
}

func ownGroups() ([]uint32, error) {
	held, err := os.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("get groups: %v", err)
	}
	ids := make([]uint32, len(held))
	for i, g := range held {
		ids[i] = uint32(g)
	}
	return ids, nil
}

func parseID(s string) (uint32, bool) {
	n, err := strconv.Atoi(s)
	return uint32(n), err == nil && isID(n)
}

// isID reports whether n can be an id; the highest number means "no change" to setresuid(2).
func isID(n int) bool { return 0 <= n && n < math.MaxUint32 }
