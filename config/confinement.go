package config

import (
	"errors"
	"fmt"

	"github.com/aem-exec/aem-exec/policy"
)

// confinement is what an app's table of policy says of what its processes may reach.
type confinement struct {
	policy.Confinement
	paths policy.Paths
}

func confinementKeys(c *confinement) []key {
	pathList := func(list *[]string) kind {
		return texts(list, anything).then(func() error {
			c.Paths = &c.paths
			return nil
		})
	}
	return []key{
		{"capabilities", capabilities(&c.Capabilities), nil, "Capabilities that are kept, as `net_bind_service`; with a user namespace, held in it. Default: none."},
		{"namespaces", choices(&c.Namespaces, policy.Namespaces()...), nil, "Namespaces of the app's own. Default: for handlers of root `[\"mount\", \"pid\"]`, else none."},
		{"read_only", boolean(&c.ReadOnly), false, "Whether nothing can be written but `paths.write`; it brings a mount namespace."},
		{"paths", table(
			key{"read", pathList(&c.paths.Read), nil, "What may be read and executed, with all that is beneath; the program itself and `/dev/null` always may. Default: everything."},
			key{"write", pathList(&c.paths.Write), nil, "What may be written and read, with all that is beneath. Default: nothing, where one of the two lists is given."},
		), nil, "The files that may be reached, by Landlock. Default: all."},
		{"signals", choice(&c.Signals, []policy.Signals{policy.OwnSignals, policy.AnySignals}), nil,
			"Whom signals may reach; `own`: the process itself and what it makes. Default: `own` for handlers of the supervisor's own user, without root, where the kernel can (Linux 6.12); else `any`."},
	}
}

// capabilities is a list of names of capabilities.
func capabilities(p *policy.Capabilities) kind {
	var names []string
	k := texts(&names, anything)
	k.name = "list of capabilities"
	return k.then(func() error {
		var errs []error
		for _, name := range names {
			c, err := policy.ParseCapability(name)
			if err != nil {
				err = fmt.Errorf("%w%s", err, suggest(name, policy.CapabilityNames()))
			}
			errs = append(errs, err)
			*p |= c
		}
		return errors.Join(errs...)
	})
}

// confinement makes paths absolute, and checks what the file states.
func (d *decoder) confinement(a *app, stated any) {
	c := &a.confinement
	for _, list := range [][]string{c.paths.Read, c.paths.Write} {
		for i, path := range list {
			list[i] = d.absolute(path)
		}
	}
	if table, _ := stated.(map[string]any); table["paths"] != nil && c.Paths == nil {
		d.errorIn(a.at+".policy", "paths", "paths wants read or write")
	}
	a.Confinement = c.Confinement
}
