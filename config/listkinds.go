package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sockstate"
	"github.com/aem-exec/aem-exec/source"
)

// texts is a list of strings, each of which check accepts.
func texts(p *[]string, check func(string) error) kind {
	return kind{
		name:   "list of strings",
		schema: object{"type": "array", "items": object{"type": "string"}},
		read: func(v any) error {
			found, err := stringsOf(v)
			if err != nil {
				return err
			}
			var errs []error
			for _, s := range found {
				errs = append(errs, check(s))
			}
			if err = errors.Join(errs...); err == nil {
				*p = found
			}
			return err
		},
	}
}

// stringsOf is v as a list of strings.
func stringsOf(v any) ([]string, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, errors.New("want a list of strings")
	}
	found := make([]string, len(items))
	for i, item := range items {
		if err := text(&found[i]).read(item); err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return found, nil
}

// anything accepts every string of a list.
func anything(string) error { return nil }

// choices is a list of some words.
func choices[T ~string](p *[]T, words ...T) kind {
	var found []string
	k := texts(&found, func(s string) error { return oneOf(T(s), words, nil) })
	k.name = "list of " + list(words)
	k.schema = object{"type": "array", "items": object{"enum": words}}
	return k.then(func() error {
		*p = make([]T, len(found))
		for i, word := range found {
			(*p)[i] = T(word)
		}
		return nil
	})
}

// integers is a list of whole numbers that are called what.
func integers[T int | uint16](p *[]T, what string, least, most int64) kind {
	item := object{"type": "integer", "minimum": least, "maximum": most}
	return kind{
		name:   "list of " + what,
		schema: object{"type": "array", "items": item, "minItems": 1},
		read: func(v any) error {
			items, ok := v.([]any)
			found := make([]T, len(items))
			for i, item := range items {
				var n int
				ok = ok && count(&n, least, most).read(item) == nil
				found[i] = T(n)
			}
			if !ok || len(found) == 0 {
				return fmt.Errorf("want a list of %s from %d to %d", what, least, most)
			}
			*p = found
			return nil
		},
	}
}

// addresses is one address to listen on, or a list of them, of some of the schemes.
func addresses(p *[]source.Address, schemes ...string) kind {
	item := object{"type": "string", "pattern": "^(tcp|udp|unix|unixpacket|unixgram|fd):"} // of all types: they share the key
	return oneOrMore("an address", "addresses", "tcp://127.0.0.1:7007", item, func(s string) error {
		a, err := source.ParseAddress(s)
		if err == nil && !slices.Contains(schemes, a.Scheme) {
			err = fmt.Errorf("listen %q: want %s", s, list(schemes))
		}
		if err == nil {
			*p = append(*p, a)
		}
		return err
	})
}

// signals is one signal, or a list of them.
func signals(p *[]syscall.Signal) kind {
	item := object{"type": "string", "pattern": `^[A-Z]+[0-9]?(\+[0-9]+)?$`}
	return oneOrMore("a signal", "signals", "USR1", item, func(name string) error {
		s, err := source.ParseSignal(name)
		*p = append(*p, s)
		return err
	})
}

// oneOrMore is a string or a list of different ones, each of which take takes.
func oneOrMore(one, many, example string, item object, take func(string) error) kind {
	_, noun, _ := strings.Cut(one, " ")
	return kind{
		name:   noun + " or list of " + many,
		schema: object{"anyOf": []any{item, object{"type": "array", "items": item, "minItems": 1, "uniqueItems": true}}},
		read: func(v any) error {
			if s, ok := v.(string); ok {
				v = []any{s}
			}
			found, err := stringsOf(v)
			if err != nil || len(found) == 0 {
				return fmt.Errorf("want %s like %q, or a list of them", one, example)
			}
			var errs []error
			for i, s := range found {
				err := take(s)
				if err == nil && slices.Contains(found[:i], s) {
					err = fmt.Errorf("%q is listed twice", s)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
}

// networks is a list of addresses, each a network of one, and networks.
func networks(p *[]netip.Prefix) kind {
	k := kind{name: "list of addresses and networks", schema: object{"type": "array", "items": object{"type": "string"}, "minItems": 1}}
	k.read = func(v any) error {
		found, err := stringsOf(v)
		if err != nil || len(found) == 0 {
			return errors.New(`want a list of addresses and networks, like ["127.0.0.1", "10.0.0.0/8"]`)
		}
		var errs []error
		for _, s := range found {
			network, err := netip.ParsePrefix(s)
			if ip, iperr := netip.ParseAddr(s); iperr == nil {
				network, err = ip.Prefix(ip.BitLen())
			}
			if err != nil {
				err = fmt.Errorf("%q is no address or network, like 127.0.0.1 or 10.0.0.0/8", s)
			}
			errs = append(errs, err)
			*p = append(*p, network.Masked())
		}
		return errors.Join(errs...)
	}
	return k
}

// tcpStates is a list of states of TCP.
func tcpStates(p *[]sockstate.State) kind {
	words := slices.DeleteFunc(slices.Clone(sockstate.States[:]), func(s string) bool { return s == "" })
	var names []string
	return choices(&names, words...).then(func() error {
		for _, name := range names {
			*p = append(*p, sockstate.State(slices.Index(sockstate.States[:], name)))
		}
		return nil
	})
}

// variables is a table of environment variables.
func variables(p *map[string]string) kind {
	schema := object{"type": "object", "additionalProperties": object{"type": "string"}}
	return kind{name: "table of strings", schema: schema, read: func(v any) error {
		t, ok := v.(map[string]any)
		if !ok {
			return errors.New("want a table of strings")
		}
		*p = make(map[string]string, len(t))
		var errs []error
		for _, name := range sorted(t) {
			var value string
			err := variable(name)
			if err == nil {
				err = text(&value).read(t[name])
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
			(*p)[name] = value
		}
		return errors.Join(errs...)
	}}
}

// variable reports what keeps name from naming an environment variable.
func variable(name string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Errorf("%q cannot name an environment variable", name)
	}
	if strings.HasPrefix(name, "AEM_") { // a handler would find the app's in place of its event's
		return fmt.Errorf("%q is one of the variables that the supervisor sets", name)
	}
	return nil
}

// free is a table that whoever is handed it judges.
func free(p *map[string]any) kind {
	return kind{name: "table", schema: object{"type": "object"}, read: func(v any) error {
		t, ok := v.(map[string]any)
		if !ok {
			return errors.New("want a table")
		}
		*p = t
		return nil
	}}
}

// unlimited is RLIM_INFINITY, man 2 getrlimit.
const unlimited = ^uint64(0)

// rlimit appends the limit of one resource.
func rlimit(p *[]executor.Rlimit, resource int) kind {
	var n int64
	add := func(value uint64) { *p = append(*p, executor.Rlimit{Resource: resource, Value: value}) }
	return size(&n, 0).then(func() error {
		add(uint64(n))
		return nil
	}).or("unlimited", func() { add(unlimited) })
}
