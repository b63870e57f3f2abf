package control

import (
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
)

func TestSelectorMatches(t *testing.T) {
	id := aem.NewJobID(12, 7)
	for _, row := range []struct {
		selector, job string // job is app/event:handler
		want          bool
	}{
		{"shop/order", "shop/order:bill", true},
		{"shop/order:bill", "shop/order:bill", true},
		{"shop/order:audit", "shop/order:bill", false},
		{"shop/*", "shop/order:bill", true},
		{"*/*", "shop/order:bill", true},
		{"*/order:b*", "shop/order:bill", true},
		{"sh?p/[a-o]*", "shop/order:bill", true},
		{"web/*", "shop/order:bill", false},
		{"shop/ord", "shop/order:bill", false},
		{"12:7", "shop/order:bill", true},
		{"12:8", "shop/order:bill", false},
		{"7:12", "shop/order:bill", false},
	} {
		sel, err := ParseSelector(row.selector)
		if err != nil {
			t.Errorf("%s: %v", row.selector, err)
			continue
		}
		app, rest, _ := strings.Cut(row.job, "/")
		event, handler, _ := strings.Cut(rest, ":")
		if got := sel.Match(id, app, event, handler); got != row.want {
			t.Errorf("%s on %s: %v, want %v", row.selector, row.job, got, row.want)
		}
		if sel.String() != row.selector {
			t.Errorf("%s is printed as %s", row.selector, sel)
		}
	}
}

func TestSelectorRefuses(t *testing.T) {
	for _, s := range []string{
		"", "shop", "*", "/", "shop/", "/order", "shop/order:", "shop/order:a:b", "shop/a/b", "shop/[a", "12:", ":7", "12:0",
		"4294967296:1", "shop/or der", "a/b,c/d",
	} {
		if sel, err := ParseSelector(s); err == nil {
			t.Errorf("%q passes for %v", s, sel)
		}
	}
}

func TestSelectorLists(t *testing.T) {
	got, err := ParseSelectors([]string{"a/b,c/d", "e/f g/h:i", "", "12:7"})
	var all []string
	for _, sel := range got {
		all = append(all, sel.String())
	}
	if want := "a/b c/d e/f g/h:i 12:7"; err != nil || strings.Join(all, " ") != want {
		t.Errorf("got %v, %v, want %s", all, err, want)
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"a/b", "a/b:c", "*/*", "12:7", "a/[b-", "[]/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sel, err := ParseSelector(s)
		if err != nil {
			return
		}
		again, err := ParseSelector(sel.String())
		if err != nil || again != sel {
			t.Fatalf("%q: %+v is printed as %q, read as %+v, %v", s, sel, sel.String(), again, err)
		}
		sel.Match(aem.NewJobID(1, 1), "app", "event", "handler")
	})
}
