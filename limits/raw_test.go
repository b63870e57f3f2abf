package limits

import "testing"

func TestCheckRaw(t *testing.T) {
	for _, c := range []struct {
		file, key string
		ok        bool
	}{
		{"memory.zswap.max", "", true},
		{"hugetlb.2MB.rsvd.max", "", true},
		{"hugetlb.2MB.max", "hugetlb", true},
		{"memory.max", "memory", true},
		{"io.bfq.weight", "io", true},
		{"memory.oom.group", "", false},
		{"cgroup.procs", "", false},
		{"memory", "", false},
		{"memory.", "", false},
		{"memory.a/b", "", false},
		{"../memory.max", "", false},
		{"freezer.state", "", false},
		{"", "", false},
	} {
		if err := CheckRaw(c.file); (err == nil) != c.ok {
			t.Errorf("%q: %v, want ok %v", c.file, err, c.ok)
		}
		if key := KeyOf(c.file); key != c.key {
			t.Errorf("%q has the key %q, want %q", c.file, key, c.key)
		}
	}
}

func TestParseSet(t *testing.T) {
	for _, c := range []struct {
		text, same string // "" : refused
	}{
		{"0", "0"}, {"0-1,4", "4,0,1"}, {"3,1-2,2", "1-3"},
		{"", ""}, {"a", ""}, {"1-", ""}, {"-1", ""}, {"2-1", ""}, {"1,,2", ""}, {"0-65536", ""}, {"0 1", ""}, {"0-99999999999999999999", ""},
	} {
		if _, err := ParseSet(c.text); (err == nil) != (c.same != "") {
			t.Errorf("%q: %v", c.text, err)
		}
		if c.same != "" && !sameSet(c.text, c.same) {
			t.Errorf("%q is not %q", c.text, c.same)
		}
	}
	if sameSet("0-1", "0") || sameSet("x", "x") {
		t.Error("different sets are the same")
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add("0-1,4")
	f.Add("65535")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseSet(text)
		if err == nil && (len(set) == 0 || set[0] < 0 || set[len(set)-1] >= maxCPUs) {
			t.Errorf("%q is %v", text, set)
		}
	})
}
