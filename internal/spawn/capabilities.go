package spawn

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// capabilities is what is left to be done about them.
type capabilities struct {
	bounding uint64 // to drop from the bounding set
	sets     *sys.Capabilities
	ambient  uint64 // to raise: the program then has what is kept whoever it runs as
	keep     bool   // the permitted set must outlive the change of the user
}

// setCaps leaves a process with the capabilities of a set alone. Where nothing more is held, as without privileges,
// nothing is done.
//
// The bounding set is emptied where we may. Where we may not and it matters, because the program could gain from it (as
// uid 0, or without no_new_privs), the step stays in the list and fails by name: better than a weaker process.
func (p *Plan) setCaps(s *Spec, we self) error {
	bounding, may := we.capBnd, we.capEff&(1<<sys.CAP_SETPCAP) != 0
	held, err := we.mayKeep(s.KeepCaps, s.UserNamespace)
	if err != nil {
		return err
	}
	if s.UserNamespace {
		bounding, may = held, true
	}
	if held|we.capInh|we.capAmb == 0 {
		return nil
	}
	p.sets = &sys.Capabilities{}
	p.sets.Header.Version = sys.LINUX_CAPABILITY_VERSION_3
	for i := range p.sets.Data {
		half := uint32(s.KeepCaps >> (32 * i))
		p.sets.Data[i].Effective, p.sets.Data[i].Permitted, p.sets.Data[i].Inheritable = half, half, half
	}
	p.ambient = s.KeepCaps
	p.keep = s.KeepCaps != 0 && p.uid != nil
	root := p.uid == nil && slices.Contains(we.uids[:], 0) || p.uid != nil && *p.uid == 0
	if may || root || !p.noPrivs {
		p.bounding = bounding &^ s.KeepCaps
	}
	return nil
}

// mayKeep are the capabilities that there are to keep, or an error when one that is to be kept is not among them. In a
// user namespace its first process has all of them (man 7 user_namespaces).
func (we *self) mayKeep(keep uint64, userNamespace bool) (held uint64, err error) {
	held = we.capPrm
	if userNamespace {
		last, err := sys.CapLast()
		if err != nil {
			return 0, err
		}
		held = 1<<(last+1) - 1
	}
	if lacking := keep &^ held; lacking != 0 {
		name := sys.CapabilityName(bits.TrailingZeros64(lacking))
		return held, fmt.Errorf("keep capability %s: the supervisor does not have it", name)
	}
	return held, nil
}

// MayKeep reports why processes cannot keep these capabilities, nil when they can.
func MayKeep(capabilities uint64, userNamespace bool) error {
	we, err := readSelf()
	if err == nil {
		_, err = we.mayKeep(capabilities, userNamespace)
	}
	return err
}

func dropBounding(l *list, p *Plan, _ *Vars) {
	if l.unbound && !p.userNS {
		return
	}
	for c := range members(p.bounding, 0) {
		l.add("bounding set", sys.SYS_PRCTL, sys.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
	}
}

// dropCapabilities empties the ambient set too: it never holds what permitted and inheritable do not
// (security/commoncap.c, cap_capset).
func dropCapabilities(l *list, p *Plan, _ *Vars) {
	if p.sets == nil {
		return
	}
	l.add("capset", sys.SYS_CAPSET, address(&p.sets.Header), address(&p.sets.Data[0]))
	for c := range members(p.ambient, 0) {
		l.add("ambient set", sys.SYS_PRCTL, sys.PR_CAP_AMBIENT, sys.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0)
	}
}

// DropBounding takes all capabilities but a set's out of the bounding set of the lane's own thread: the processes made
// on it inherit that, and need not do it themselves, one capability after the other, each time (50 us). Without
// CAP_SETPCAP nothing is changed.
func (m *Maker) DropBounding(keep uint64) error {
	we, err := readSelf()
	if err != nil {
		return err
	}
	for c := range members(we.capBnd&^keep, 0) {
		if err := sys.DropBounding(c); err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
	m.list.unbound = true
	return nil
}
