package config

import (
	"errors"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/source"
)

// timerKinds are the keys that say when, of which a timer has one.
var timerKinds = []string{"after", "every", "at", "cron"}

// timerCompanions are the keys that go with some of them only.
var timerCompanions = []struct {
	key  string
	with []string
	want string
}{
	{"first", []string{"every"}, "first goes with every"},
	{"clock", []string{"after", "every"}, "clock goes with after and every: at and cron go by the time of day"},
	{"zone", []string{"at", "cron"}, "zone goes with at and cron"},
	{"missed", []string{"at", "cron"}, "missed goes with at and cron"},
	{"dst", []string{"cron"}, "dst goes with cron"},
}

func timerType(e *event) eventType {
	t := &e.timer
	oneOf := []any{}
	for _, key := range timerKinds {
		oneOf = append(oneOf, needs(key))
	}
	return eventType{
		name: "timer", doc: "Time passes. Exactly one of `after`, `every`, `at` and `cron`. Never early; what falls due within 50 µs after others is told together, at the end of them, and where timers are dense within 250 µs.", spec: func() source.Spec { return e.timer },
		rules: object{"oneOf": oneOf},
		keys: []key{
			{"after", duration(&t.After, 1), nil, "Once, so long after the job's start."},
			{"every", duration(&t.Every, time.Millisecond), nil, "Again and again. Times that passed before it could be detected are counted in one event."},
			{"first", duration(&t.First, 0).or("now", func() { t.First = 0 }), nil, "With `every`: when the first one is due. Default: after one period."},
			{"at", timeOrText(&t.At).then(func() error { return source.CheckAt(t.At) }), nil, "Once, at a time, as `2026-12-24T18:00:00` with `Z`, an offset or else in `zone`; or at a time of day, as `18:00`: the next one."},
			{"cron", text(&t.Cron).then(func() error { return source.CheckCron(t.Cron) }), nil, "At times of a calendar, man 5 crontab: minute, hour, day of month, month, day of week, as `30 6 * * mon-fri`; or `@hourly` `@daily` `@weekly` `@monthly` `@yearly`."},
			{"clock", choice(&t.Clock, []source.Clock{source.MonotonicClock, source.RealtimeClock, source.BoottimeClock}), nil, "Which clock counts `after` and `every`: `monotonic` (the default) stands still while the machine sleeps, `boottime` does not, `realtime` is the time of day and jumps when that is set."},
			{"zone", text(&t.Zone), nil, "Time zone of `at` and `cron`, as `Europe/Berlin`. Default: the local one."},
			{"missed", choice(&t.Missed, []source.Missed{source.SkipMissed, source.OneMissed, source.AllMissed}), nil, "What happens to times of `at` and `cron` that passed while the job was not started, over restarts too: nothing (`skip`, the default), `one` event that counts them, or an event for each (`all`, of 1000 at most)."},
			{"dst", choice(&t.DST, []source.DST{source.OnceDST, source.SkipDST, source.TwiceDST}), nil, "What happens to times of day that a change of the clocks doubles or skips: `once` (the default), a doubled time counts the first time and a skipped one as if the clocks had not changed yet; `skip`, a skipped one does not count; `twice`, a doubled one counts both times. An expression that allows every hour goes by time that passes."},
			{"jitter", duration(&t.Jitter, 0), nil, "Each event is later by a random time below this, so that many machines do not do the same at once."},
		},
	}
}

// timer checks what a timer states together, and completes it.
func (d *decoder) timer(e *event) {
	states := func(key string) bool { return e.stated[key] != nil }
	kinds := slices.DeleteFunc(slices.Clone(timerKinds), func(key string) bool { return !states(key) })
	if len(kinds) != 1 {
		d.errorf(e.at, "timer wants exactly one of after, every, at, cron")
	}
	for _, c := range timerCompanions {
		if states(c.key) && !slices.ContainsFunc(c.with, states) {
			d.errorIn(e.at, c.key, "%s", c.want)
		}
	}
	if !states("first") {
		e.timer.First = e.timer.Every
	}
}

// timeOrText is a time as TOML writes it, with or without quotes.
func timeOrText(p *string) kind {
	k := text(p)
	k.name = "time"
	read := k.read
	k.read = func(v any) error {
		t, ok := v.(time.Time)
		if !ok {
			if read(v) != nil {
				return errors.New(`want a time like "2026-12-24T18:00:00" or "18:00"`)
			}
			return nil
		}
		form, ok := timeForms[t.Location().String()]
		if !ok {
			form = time.RFC3339Nano
		}
		*p = t.Format(form)
		return nil
	}
	return k
}

// timeForms are TOML's times without an offset, by the zone that the decoder marks them with.
var timeForms = map[string]string{
	"datetime-local": "2006-01-02T15:04:05.999999999", "date-local": "2006-01-02", "time-local": "15:04:05.999999999",
}
