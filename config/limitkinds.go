package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/limits"
)

// portions is a table of numbers for event types and agents.
func portions(p *[]limits.Of) kind {
	const most = 10_000_000
	schema := object{"type": "object", "additionalProperties": object{"type": "integer", "minimum": 1, "maximum": most}}
	return kind{name: "table of integers", schema: schema, read: func(v any) error {
		return eachOf(v, `want a table of numbers, like { "socket.*" = 10 }`, func(what string, v any) error {
			of := limits.Of{What: what}
			err := count(&of.Most, 1, most).read(v)
			if err == nil && !slices.Contains(agents, executor.AgentKind(what)) {
				err = typePattern(what)
			}
			*p = append(*p, of)
			return err
		})
	}}
}

// cores is a list of cores.
func cores(p *string) kind {
	k := text(p)
	k.name = `list of cores, as "0-1,4"`
	k.schema = object{"type": "string", "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"}
	return k.then(func() error {
		_, err := limits.ParseSet(*p)
		return err
	})
}

// disks is a table of limits by disk, and a weight over all of them.
func disks(p *limits.IO) kind {
	weight := count(&p.Weight, 1, 1000)
	schema := object{"type": "object", "properties": object{"weight": weight.schema}, "additionalProperties": fewSchema(diskKeys(new(limits.Device)))}
	return kind{name: "table of disks", schema: schema, read: func(v any) error {
		return eachOf(v, `want a table, like { "/dev/vda" = { wbps = "10MiB" } }`, func(name string, v any) error {
			if name == "weight" {
				return weight.read(v)
			}
			if !strings.HasPrefix(name, "/") && !strings.Contains(name, ":") {
				return errors.New(`want weight, or a path in the disk's file system or of its node, like "/dev/vda"`)
			}
			d := limits.Device{Path: name}
			err := few(v, diskKeys(&d))
			p.Devices = append(p.Devices, d)
			return err
		})
	}}
}

// diskKeys are one disk's limits, by the kernel's own names.
func diskKeys(d *limits.Device) []key {
	return []key{
		{"rbps", size(&d.ReadBytes, 1), nil, ""}, {"wbps", size(&d.WriteBytes, 1), nil, ""},
		{"riops", count(&d.Reads, 1, 1<<40), nil, ""}, {"wiops", count(&d.Writes, 1, 1<<40), nil, ""},
	}
}

// pageSizes are those that some processor has, as the kernel names them (mm/hugetlb_cgroup.c).
var pageSizes = []string{"64KB", "512KB", "1MB", "2MB", "8MB", "16MB", "32MB", "256MB", "512MB", "1GB", "2GB", "16GB"}

// hugePages is a table of sizes by the size of pages.
func hugePages(p *[]limits.HugeTLB) kind {
	properties := object{}
	for _, name := range pageSizes {
		properties[name] = size(new(int64), 0).schema
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	return kind{name: "table of sizes", schema: schema, read: func(v any) error {
		return eachOf(v, `want a table of sizes, like { "2MB" = "64MiB" }`, func(name string, v any) error {
			h := limits.HugeTLB{Size: name}
			err := oneOf(name, pageSizes, nil)
			if err == nil {
				err = size(&h.Bytes, 0).read(v)
			}
			*p = append(*p, h)
			return err
		})
	}}
}

// rawFiles is a table of texts by the file that they are written to.
func rawFiles(p *[]limits.Raw) kind {
	schema := object{"type": "object", "additionalProperties": object{"type": "string"}}
	return kind{name: "table of strings", schema: schema, read: func(v any) error {
		return eachOf(v, `want a table of strings, like { "memory.zswap.max" = "0" }`, func(name string, v any) error {
			r := limits.Raw{File: name}
			err := limits.CheckRaw(name)
			if key := limits.KeyOf(name); err == nil && key != "" {
				err = fmt.Errorf("it has a key of its own: %s", key)
			}
			if err == nil {
				err = text(&r.Text).read(v)
			}
			*p = append(*p, r)
			return err
		})
	}}
}

// few reads a table with one at least of a few keys.
func few(v any, rows []key) error {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.name
	}
	err := eachOf(v, "want a table of "+list(names), func(name string, v any) error {
		i := slices.Index(names, name)
		if i < 0 {
			return fmt.Errorf("unknown key (%s)", list(names))
		}
		return rows[i].kind.read(v)
	})
	if t, _ := v.(map[string]any); err == nil && len(t) == 0 {
		err = fmt.Errorf("want one of %s at least", list(names))
	}
	return err
}

// fewSchema is the schema of such a table.
func fewSchema(rows []key) object {
	properties := object{}
	for _, r := range rows {
		properties[r.name] = r.kind.schema
	}
	return object{"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1}
}

// eachOf reads the entries of a table, in an order that does not change. What is wrong with each begins with its name.
func eachOf(v any, want string, read func(name string, v any) error) error {
	t, ok := v.(map[string]any)
	if !ok {
		return errors.New(want)
	}
	var errs []error
	for _, name := range sorted(t) {
		if err := read(name, t[name]); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") { // of an entry that is a table
				errs = append(errs, fmt.Errorf("%s: %s", name, line))
			}
		}
	}
	return errors.Join(errs...)
}
