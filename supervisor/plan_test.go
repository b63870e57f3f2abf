package supervisor

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
)

// planned is an Options of two apps; each call makes one that shares nothing with the others.
func planned() *Options {
	greet, audit := handler("greet", "./greet", "{peer}"), handler("audit", "./audit")
	greet.Env = map[string]string{"A": "b"}
	web := testApp("web", []executor.Spec{greet, audit},
		event("hello", source.Topic{Name: "web/hello"}, "greet", "audit"),
		event("tick", source.Timer{Every: time.Minute}, "audit"))
	web.Seccomp = &policy.Profile{Name: "own"}
	log := builtin("log", "log", map[string]any{"level": "info"})
	return &Options{Apps: []App{web, testApp("shop", []executor.Spec{log}, event("order", source.Topic{Name: "shop/order"}, "log"))}}
}

func TestPlan_R168(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *Options)
		want   string
	}{
		"nothing":            {func(*Options) {}, ""},
		"apps change places": {func(o *Options) { slices.Reverse(o.Apps) }, ""},
		"grace":              {func(o *Options) { o.Grace = time.Hour }, ""},
		"an app comes": {func(o *Options) {
			o.Apps = append(o.Apps, testApp("new", []executor.Spec{handler("h", "x")}, event("e", source.Topic{Name: "new/e"}, "h")))
		}, "added app new, added handler new/h, added job new/e"},
		"an app goes":   {func(o *Options) { o.Apps = o.Apps[:1] }, "removed job shop/order, removed handler shop/log, removed app shop"},
		"an app stops":  {func(o *Options) { o.Apps[1].Start = false }, "changed app shop"},
		"other numbers": {func(o *Options) { o.Apps[1].Limits.Jobs, o.Apps[1].Limits.Activations = 7, 9 }, "changed app shop"},
		"an event comes": {func(o *Options) {
			o.Apps[1].Events = append(o.Apps[1].Events, event("late", source.Timer{After: time.Hour}, "log"))
		}, "added job shop/late"},
		"an event goes": {func(o *Options) { o.Apps[0].Events = o.Apps[0].Events[:1] }, "removed job web/tick"},
		"an event gets a handler more": {func(o *Options) { o.Apps[0].Events[1].Handlers = []string{"audit", "greet"} },
			"added job web/tick:greet"},
		"an event loses a handler": {func(o *Options) { o.Apps[0].Events[0].Handlers = []string{"greet"} }, "removed job web/hello:audit"},
		"another source":           {func(o *Options) { o.Apps[0].Events[1].Source = source.Timer{Every: time.Hour} }, "renewed job web/tick"},
		"other rules":              {func(o *Options) { o.Apps[0].Events[1].Priority = 3 }, "changed job web/tick"},
		"rules of two jobs": {func(o *Options) { o.Apps[0].Events[0].Filter = "size > 0" },
			"changed job web/hello:greet, changed job web/hello:audit"},
		"another program":                 {func(o *Options) { o.Apps[0].Handlers[0].Exec[0] = "./greet2" }, "renewed handler web/greet"},
		"another value in an environment": {func(o *Options) { o.Apps[0].Handlers[0].Env["A"] = "c" }, "renewed handler web/greet"},
		"another agent": {func(o *Options) { o.Apps[1].Handlers[0].Agent = executor.Thread },
			"renewed handler shop/log, renewed job shop/order"},
		"a handler nobody uses": {func(o *Options) { o.Apps[1].Handlers = append(o.Apps[1].Handlers, handler("h", "x")) }, "added handler shop/h"},
	} {
		t.Run(name, func(t *testing.T) {
			is := planned()
			c.change(is)
			p, err := difference(planned(), is)
			if got := stepsOf(p); got != c.want || err != nil {
				t.Errorf("plan %q, %v\nwant %q", got, err, c.want)
			}
		})
	}
}

func stepsOf(p plan) string {
	var steps []string
	for _, c := range p {
		told := c.told()
		steps = append(steps, fmt.Sprint(told.Change, " ", told.What, " ", told.Name))
	}
	return strings.Join(steps, ", ")
}

// TestPlanRefusesWhatIsMadeOnce_R168: all of it at once, each by its name in the file.
func TestPlanRefusesWhatIsMadeOnce_R168(t *testing.T) {
	is := planned()
	is.RuntimeDir, is.StateDir, is.DeadLetters, is.Control.Mode, is.Log.Format = "/x", "/y", 5, 0o660, "json"
	web := &is.Apps[0]
	web.User, web.Group, web.Groups, web.Limits.Memory, web.Seccomp.Name = "nobody", "x", []string{"y"}, 7, "other"
	web.SeccompReady, web.Confinement.ReadOnly = &policy.Profile{}, true
	_, err := difference(planned(), is)
	var got []string
	for _, e := range HostErrors(err) {
		if got = append(got, e.Path); !errors.Is(e, errFixed) {
			t.Errorf("%v", e)
		}
	}
	want := []string{"supervisor.runtime_dir", "supervisor.state_dir", "supervisor.dead_letters", "supervisor.control", "supervisor.log",
		"app.web.user", "app.web.group", "app.web.groups", "app.web.limits", "app.web.policy.seccomp", "app.web.policy.seccomp_ready", "app.web.policy"}
	if !slices.Equal(got, want) {
		t.Errorf("refused %q\nwant    %q", got, want)
	}
}

// TestPlanMissesNothing changes each field of the values that a file fills, one after the other: each is in a plan or
// refused, so that none is ignored in silence.
func TestPlanMissesNothing(t *testing.T) {
	notOfTheFile := []string{"Grace", "Apps"} // compared by themselves, or taken as they are; and what comes after the apps
	options := reflect.TypeFor[Options]()
	for apps, i := false, 0; i < options.NumField(); i++ {
		if apps = apps || options.Field(i).Name == "Apps"; apps {
			notOfTheFile = append(notOfTheFile, options.Field(i).Name)
		}
	}
	for name, c := range map[string]struct {
		of   func(o *Options) any
		skip []string
	}{
		"supervisor": {func(o *Options) any { return o }, notOfTheFile},
		"app":        {func(o *Options) any { return &o.Apps[0] }, []string{"Handlers", "Events"}},
		"handler":    {func(o *Options) any { return &o.Apps[0].Handlers[0] }, nil},
		"event":      {func(o *Options) any { return &o.Apps[0].Events[1] }, nil},
	} {
		fields := reflect.TypeOf(c.of(planned())).Elem()
		for i := range fields.NumField() {
			if field := fields.Field(i); !slices.Contains(c.skip, field.Name) {
				is := planned()
				other(t, reflect.ValueOf(c.of(is)).Elem().Field(i))
				if p, err := difference(planned(), is); len(p) == 0 && err == nil {
					t.Errorf("%s: another %s is ignored", name, field.Name)
				}
			}
		}
	}
}

// other gives a value another one.
func other(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int8:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(v.Type().Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		other(t, v.Field(0))
	case reflect.Interface:
		v.Set(reflect.ValueOf(source.Timer{Every: time.Second}))
	default:
		t.Fatalf("no other value for a %v", v.Type())
	}
}
