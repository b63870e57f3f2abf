package supervisor

import (
	"fmt"
	"os"
	"slices"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/policy"
)

// Confined is what processes of the app are kept in that run as a user: its confinement, with what is so where that says
// nothing, and whether they are kept from mounting, too. A process of root could mount cgroups again where it may write
// them, in a user namespace that it makes itself.
func (a *App) Confined(uid uint32) (c policy.Confinement, shut bool) {
	c = a.Confinement
	c.Namespaces, c.Signals = c.Kinds(uid == 0), a.signals(uid)
	sysAdmin, _ := policy.ParseCapability("sys_admin")
	return c, uid == 0 && slices.Contains(c.Namespaces, "mount") && c.Capabilities&sysAdmin == 0
}

// signals is whom the app's processes may signal. Those of the supervisor's own user could end it: without root, where
// no namespace keeps them from it, they may not where the kernel can see to it.
func (a *App) signals(uid uint32) policy.Signals {
	switch own := int(uid) == os.Geteuid() && uid != 0; {
	case a.Confinement.Signals != "":
		return a.Confinement.Signals
	case !own:
		return policy.AnySignals
	}
	if abi, err := policy.LandlockABI(); err != nil || abi < policy.SignalsABI {
		return policy.AnySignals
	}
	return policy.OwnSignals
}

// confine makes what the app's processes are kept in, and refuses what this host cannot keep.
func (s *Supervisor) confine(a *app) error {
	if !slices.ContainsFunc(a.spec.Handlers, func(h executor.Spec) bool { return h.Agent == executor.Process }) {
		return nil
	}
	w := a.work
	c, shut := a.spec.Confined(w.Account.UID)
	flags := policy.Flags(c.Namespaces)
	w.Keep, w.UserNamespace = uint64(c.Capabilities), flags&sys.CLONE_NEWUSER != 0
	w.Reach = policy.Reach{Paths: c.Paths, Signals: c.Signals, NoMounts: shut}
	if err := spawn.MayKeep(w.Keep, w.UserNamespace); err != nil {
		return placed(err, "app", a.spec.Name, "policy.capabilities")
	}
	if flags != 0 {
		if err := s.enclose(a, flags); err != nil {
			return placed(err, "app", a.spec.Name, "policy.namespaces")
		}
	}
	ruleset, err := w.OpenRuleset()
	if err != nil {
		return placed(err, "app", a.spec.Name, "policy")
	}
	if ruleset > 0 {
		sys.Close(ruleset) // each handler has one of its own, with its program
	}
	return nil
}

// enclose makes the app's namespaces.
func (s *Supervisor) enclose(a *app, flags uint64) error {
	if flags&sys.CLONE_NEWPID != 0 && a.leaves() {
		return fmt.Errorf(`leftover = "leave" does not go with a pid namespace: it ends with the supervisor, and all that is in it`)
	}
	c, who := &a.spec.Confinement, &a.work.Account
	spec := spawn.CellSpec{
		Name: "aem-exec: namespaces of " + a.spec.Name, Namespaces: flags, ReadOnly: c.ReadOnly,
		UIDs: []uint32{who.UID}, GIDs: append([]uint32{who.GID}, who.Groups...),
	}
	if c.Paths != nil {
		spec.Writable = c.Paths.Write
	}
	slices.Sort(spec.GIDs)
	spec.GIDs = slices.Compact(spec.GIDs)
	var err error
	made := make(chan struct{})
	a.work.Lane.Submit(func(m *spawn.Maker) {
		defer close(made)
		a.work.Cell, err = m.Enclose(spec)
	})
	<-made
	if err == nil {
		return nil
	}
	if c.Namespaces == nil && !c.ReadOnly {
		err = fmt.Errorf("handlers of root have a mount and a pid namespace of their own: %w "+
			"(give the app a user; or say namespaces = [], and its limits are advisory)", err)
	}
	return err
}

// reservation says what is left open by handlers that run as the supervisor's own user, "" when they do not.
func (a *app) reservation() string {
	switch {
	case int(a.work.Account.UID) != os.Geteuid():
		return ""
	case a.work.Account.UID == 0 && a.work.Cell.Has(sys.CLONE_NEWNS|sys.CLONE_NEWPID) && a.work.Reach.NoMounts:
		return "handlers run as root, in namespaces of their own: root's files are theirs"
	case a.work.Reach.Signals == policy.OwnSignals:
		return "handlers run as the supervisor's own user: they cannot signal it, but their limits are advisory"
	}
	return "handlers run as the supervisor's own user: their limits are advisory"
}
