package limits

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"

	"github.com/aem-exec/aem-exec/internal/strict"
)

// LoadResources reads the limits of a cgroup from a file in the form of LinuxResources of the OCI runtime specification
// (config-linux.md, "Control groups"). Errors say where: "r.json:3:15: memory.limit: ...".
func LoadResources(file string) (Limits, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Limits{}, fmt.Errorf("read resources: %w", err)
	}
	l, err := ParseResources(data)
	if err != nil {
		return Limits{}, fmt.Errorf("%s:%v", file, err)
	}
	return l, nil
}

// ParseResources reads the text of such a file. It is strict: what it does not know, what is not supported here, numbers
// that limit nothing and values that contradict each other are mistakes. Errors begin with line:column.
func ParseResources(data []byte) (Limits, error) {
	r := strict.NewReader(data)
	o := &oci{}
	err := r.Document(o.fields())
	if err == nil {
		err = o.check()
	}
	if m := (*strict.Mistake)(nil); errors.As(err, &m) {
		line, column := r.Place(m)
		err = fmt.Errorf("%d:%d: %v", line, column, m)
	}
	if err != nil {
		return Limits{}, err
	}
	return o.Limits, nil
}

// oci is a LinuxResources while it is read: what has the same meaning goes into the Limits at once.
type oci struct {
	Limits
	both, quota int64 // memory with swap, and µs
	shares      int64
}

// The bounds of numbers: what is beyond them is not meant.
const (
	maxBytes = 1 << 50
	maxPIDs  = 1 << 22 // man 5 proc_sys_kernel, pid_max
)

func (o *oci) fields() strict.Value {
	return strict.Object(map[string]strict.Value{
		"memory": strict.Object(map[string]strict.Value{
			"limit":       whole(&o.Memory, 4096, maxBytes),
			"reservation": whole(&o.MemoryLow, 4096, maxBytes),
			"swap":        whole(&o.both, 4096, maxBytes),
			"kernel":      unsupported, "kernelTCP": unsupported, "swappiness": unsupported,
			"disableOOMKiller": only(false), "useHierarchy": only(true), "checkBeforeUpdate": only(false),
		}),
		"cpu": strict.Object(map[string]strict.Value{
			"quota":  whole(&o.quota, leastQuota, maxCPUs*longPeriod),
			"period": whole(&o.CPUPeriod, 1000, longPeriod),
			"shares": whole(&o.shares, 2, 262144),
			"cpus":   set(&o.CPUSet),
			"mems":   set(&o.MemorySet),
			"burst":  unsupported, "idle": unsupported, "realtimeRuntime": unsupported, "realtimePeriod": unsupported,
		}),
		"pids":    strict.Object(map[string]strict.Value{"limit": whole(&o.PIDs, 1, maxPIDs)}),
		"blockIO": o.disks(),
		"hugepageLimits": strict.List(&o.HugeTLB, func(h *HugeTLB) strict.Value {
			return strict.Object(map[string]strict.Value{"pageSize": pageSize(&h.Size), "limit": whole(&h.Bytes, 0, maxBytes)})
		}),
		"unified": strict.Map(func(file string) (strict.Value, bool) { return o.raw(file), true }),
		"devices": unsupported, "network": unsupported, "rdma": unsupported,
	})
}

func (o *oci) disks() strict.Value {
	weight := int64(0)
	fields := map[string]strict.Value{
		"weight": func(r *strict.Reader, path string) error {
			err := whole(&weight, 1, 1000)(r, path)
			o.IO.Weight = int(weight)
			return err
		},
		"leafWeight": unsupported, "weightDevice": unsupported,
	}
	for field, rate := range map[string]func(d *Device) *int64{
		"throttleReadBpsDevice":   func(d *Device) *int64 { return &d.ReadBytes },
		"throttleWriteBpsDevice":  func(d *Device) *int64 { return &d.WriteBytes },
		"throttleReadIOPSDevice":  func(d *Device) *int64 { return &d.Reads },
		"throttleWriteIOPSDevice": func(d *Device) *int64 { return &d.Writes },
	} {
		fields[field] = strict.List(&o.IO.Devices, func(d *Device) strict.Value { return ociDisk(d, rate(d)) })
	}
	return strict.Object(fields)
}

// ociDisk reads one limit of one disk.
func ociDisk(d *Device, rate *int64) strict.Value {
	var major, minor int64
	fields := strict.Object(map[string]strict.Value{
		"major": whole(&major, 0, math.MaxInt32), "minor": whole(&minor, 0, math.MaxInt32), "rate": whole(rate, 1, maxBytes),
	})
	return func(r *strict.Reader, at string) error {
		err := fields(r, at)
		if err == nil && *rate == 0 {
			err = strict.Mistaken(at, "rate is missing")
		}
		d.Path = fmt.Sprintf("%d:%d", major, minor)
		return err
	}
}

// ociFields are the files of cgroup v2, as patterns, that the form has fields for.
var ociFields = []struct{ file, field string }{
	{"memory.max", "memory.limit"}, {"memory.swap.max", "memory.swap"}, {"memory.low", "memory.reservation"},
	{"pids.max", "pids.limit"}, {"cpu.max", "cpu.quota"}, {"cpu.weight", "cpu.shares"}, {"cpuset.cpus", "cpu.cpus"},
	{"cpuset.mems", "cpu.mems"}, {"io.max", "blockIO"}, {"io.bfq.weight", "blockIO.weight"}, {"hugetlb.*B.max", "hugepageLimits"},
}

// raw reads the text for a file of cgroup v2.
func (o *oci) raw(file string) strict.Value {
	return func(r *strict.Reader, at string) error {
		if err := CheckRaw(file); err != nil {
			return r.Here(at, err.Error())
		}
		for _, f := range ociFields {
			if ok, _ := path.Match(f.file, file); ok {
				return r.Here(at, "there is a field for it: "+f.field)
			}
		}
		raw := Raw{File: file}
		if err := strict.Text(&raw.Text)(r, at); err != nil {
			return err
		}
		if bytes, err := strconv.ParseInt(raw.Text, 10, 64); file == "memory.high" && err == nil && bytes > 0 { // it has a key, and no field
			o.MemoryHigh = bytes
			return nil
		}
		o.Unified = append(o.Unified, raw)
		return nil
	}
}

// check judges what was read together.
func (o *oci) check() error {
	switch {
	case o.both > 0 && o.Memory == 0:
		return strict.Mistaken("memory.swap", "it is memory and swap together: memory.limit is missing")
	case o.both > 0 && o.both < o.Memory:
		return strict.Mistaken("memory.swap", "it is memory and swap together, and less than memory.limit")
	case o.Memory > 0 && o.MemoryLow > o.Memory:
		return strict.Mistaken("memory.reservation", "it is more than memory.limit")
	case o.Memory > 0 && o.MemoryHigh > o.Memory:
		return strict.Mistaken("unified.memory.high", "it is more than memory.limit")
	case slices.ContainsFunc(o.HugeTLB, func(h HugeTLB) bool { return h.Size == "" }):
		return strict.Mistaken("hugepageLimits", "pageSize is missing")
	case o.CPUPeriod > 0 && o.quota == 0:
		return strict.Mistaken("cpu.period", "cpu.quota is missing")
	}
	if o.both > 0 {
		o.Swap = o.both - o.Memory
	}
	if o.quota > 0 {
		period := o.CPUPeriod
		if period == 0 {
			period = usualPeriod
		}
		o.CPU, o.CPUPeriod = float64(o.quota)/float64(period), period
	}
	o.CPUShares = int(o.shares)
	return nil
}

// whole reads a whole number within bounds.
func whole(p *int64, least, most int64) strict.Value {
	return func(r *strict.Reader, at string) error {
		here := r.Here(at, fmt.Sprintf("want a whole number from %d to %d: what is not to be limited is left out", least, most))
		var n uint64
		if err := strict.Integer(&n)(r, at); err != nil || n < uint64(least) || n > uint64(most) {
			return here
		}
		*p = int64(n)
		return nil
	}
}

// hugeSize is the form of the sizes of huge pages (mm/hugetlb_cgroup.c).
var hugeSize = regexp.MustCompile("^[0-9]+[KMG]B$")

func pageSize(p *string) strict.Value {
	return func(r *strict.Reader, at string) error {
		err := strict.Text(p)(r, at)
		if err == nil && !hugeSize.MatchString(*p) {
			err = strict.Mistaken(at, `%q: want a size like "2MB"`, *p)
		}
		return err
	}
}

// set reads a list of cores or memory nodes.
func set(p *string) strict.Value {
	return func(r *strict.Reader, at string) error {
		if err := strict.Text(p)(r, at); err != nil {
			return err
		}
		if _, err := ParseSet(*p); err != nil {
			return strict.Mistaken(at, "%v", err)
		}
		return nil
	}
}

// unsupported refuses a field that the form has and that nothing here enforces.
func unsupported(r *strict.Reader, at string) error { return r.Here(at, "not supported") }

// only takes a switch as it is anyway.
func only(want bool) strict.Value {
	return func(r *strict.Reader, at string) error {
		var got bool
		err := strict.Boolean(&got)(r, at)
		if err == nil && got != want {
			err = strict.Mistaken(at, "%v is not supported", got)
		}
		return err
	}
}
