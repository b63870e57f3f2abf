package limits

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Fixed are the limits without the numbers that an Update changes, to be compared: what is limited, and not to how much. Of a raw
// file the text stays, because only who wrote it knows what a second one would leave of the first.
func (l Limits) Fixed() any {
	asked := l.Values()
	for i := range asked {
		if !strings.HasPrefix(asked[i].Limit, "unified.") {
			asked[i].Value = nil
		}
	}
	return []any{asked, l.Swap > 0, l.Kill, l.OnMissing}
}

// Update has the kernel hold the app to other numbers than those that it holds it to, where Fixed is the same of both. With an
// error the old ones hold. It may be called from any goroutine, by one at a time, until Remove. It takes as long as the
// kernel does, which may have to find memory to take back.
func (g *Group) Update(was, is Limits) error {
	if slices.Equal(was.Values(), is.Values()) && was.CPUPeriod == is.CPUPeriod {
		return nil
	}
	err := g.rewrite(was, is)
	if err != nil {
		if back := g.rewrite(is, was); back != nil {
			err = errors.Join(err, fmt.Errorf("put back what was: %w", back))
		}
	}
	return err
}

// rewrite writes what is enforced anew. More memory begins with the swap, and less ends with it, because on v1 memory and swap
// together may at no time be less than memory.
func (g *Group) rewrite(was, is Limits) error {
	rows := is.asked()
	order := slices.Clone(g.enforced)
	if is.Memory > was.Memory {
		slices.Reverse(order)
	}
	for _, i := range order {
		_, w, err := g.tree.enforcer(rows[i])
		if err == nil {
			err = w.set(g, g.limited[rows[i].name], is)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", rows[i].name, err)
		}
	}
	g.pids.Store(is.PIDs)
	return nil
}
