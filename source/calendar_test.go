package source

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	oracle "github.com/netresearch/go-cron"
)

// zones are those with the changes that are hard to get right: by half an hour, by a whole day, twice a year the other
// way round, at midnight, none at all.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
	"Africa/Casablanca", "Asia/Kathmandu", "Antarctica/Troll", "America/Havana", "Asia/Beirut", "Europe/Dublin",
	"Pacific/Chatham", "America/Caracas", "Asia/Tehran", "Africa/Cairo",
}

func zoneNamed(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := loadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// TestCronKnownAnswers_R222 are times that people who live there would give.
func TestCronKnownAnswers_R222(t *testing.T) {
	for _, c := range []struct {
		expr, zone string
		dst        DST
		from       string
		want       []string // in UTC
	}{
		{"30 6 * * mon-fri", "UTC", OnceDST, "2026-01-02T07:00:00Z", []string{"2026-01-05T06:30:00Z", "2026-01-06T06:30:00Z"}},
		{"0 0 29 2 *", "UTC", OnceDST, "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{"0 0 29 2 */7", "UTC", OnceDST, "2088-03-01T00:00:00Z", []string{"2128-02-29T00:00:00Z"}},
		{"0 0 13 * fri", "UTC", OnceDST, "2026-02-12T00:00:00Z", []string{"2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z", "2026-02-27T00:00:00Z"}},
		{"@monthly", "Europe/Berlin", OnceDST, "2026-01-01T00:00:00Z", []string{"2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"}},
		{"5,10-20/5 0 * * 7", "UTC", OnceDST, "2026-03-01T00:05:00Z", []string{"2026-03-01T00:10:00Z", "2026-03-01T00:15:00Z", "2026-03-01T00:20:00Z", "2026-03-08T00:05:00Z"}},
		// The night of March 29, 2026 has no 02:30 in Berlin.
		{"30 2 * * *", "Europe/Berlin", OnceDST, "2026-03-28T12:00:00Z", []string{"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"30 2 * * *", "Europe/Berlin", TwiceDST, "2026-03-28T12:00:00Z", []string{"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"30 2 * * *", "Europe/Berlin", SkipDST, "2026-03-28T12:00:00Z", []string{"2026-03-30T00:30:00Z"}},
		{"0 2,3 * * *", "Europe/Berlin", OnceDST, "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		{"15 * * * *", "Europe/Berlin", OnceDST, "2026-03-29T00:00:00Z", []string{"2026-03-29T00:15:00Z", "2026-03-29T01:15:00Z"}},
		// That of October 25 has two.
		{"30 2 * * *", "Europe/Berlin", OnceDST, "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"30 2 * * *", "Europe/Berlin", SkipDST, "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"30 2 * * *", "Europe/Berlin", TwiceDST, "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"}},
		{"30 * * * *", "Europe/Berlin", OnceDST, "2026-10-24T23:45:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
		// Samoa had no December 30, 2011.
		{"0 12 30 12 *", "Pacific/Apia", OnceDST, "2011-12-28T00:00:00Z", []string{"2011-12-30T22:00:00Z"}},
		{"0 12 30 12 *", "Pacific/Apia", SkipDST, "2011-12-28T00:00:00Z", []string{"2012-12-29T22:00:00Z"}},
	} {
		expr, err := parseCron(c.expr)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		calendar := &cronCalendar{expr, zoneNamed(t, c.zone), c.dst}
		for _, want := range c.want {
			var ok bool
			if at, ok = calendar.next(at); !ok || at.UTC().Format(time.RFC3339) != want {
				t.Errorf("%s in %s, dst %s: %v, want %s", c.expr, c.zone, c.dst, at.UTC(), want)
				break
			}
		}
	}
}

func TestCronRefusesWhatIsNone_R222(t *testing.T) {
	for _, s := range []string{
		"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 * ", "* * * * 8", "-1 * * * *",
		"+1 * * * *", "5-1 * * * *", "*/0 * * * *", "*/60 * * * *", "a * * * *", "* * * jann *", "* * * * ja", "1,, * * * *", "@every 5s", "@reboot",
		"0 0 30 2 *", "0 0 31 4,6 *", "TZ=UTC * * * * *", "1-2-3 * * * *", "1/2/3 * * * *",
	} {
		if c, err := parseCron(s); err == nil {
			t.Errorf("%q was read as %+v", s, c)
		}
	}
}

// sets are the values that each field of an expression allows.
type sets [5][64]bool

// randomCron is an expression of the common syntax, and the sets that it means as this test understands it.
func randomCron(r *rand.Rand) (text string, s sets) {
	var fields []string
	for i, bounds := range [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}} {
		field := randomField(r, &s[i], bounds[0], bounds[1])
		if i == 2 && !s[i][1] && !s[i][28] { // or there may be no such day
			field = allOf(&s[i], bounds[0], bounds[1])
		}
		fields = append(fields, field)
	}
	return strings.Join(fields, " "), s
}

func allOf(set *[64]bool, least, most int) string {
	for v := least; v <= most; v++ {
		set[v] = true
	}
	return "*"
}

func randomField(r *rand.Rand, set *[64]bool, least, most int) string {
	if r.IntN(3) == 0 {
		return allOf(set, least, most)
	}
	var items []string
	for range 1 + r.IntN(3) {
		first := least + r.IntN(most-least+1)
		last := first + r.IntN(most-first+1)
		step := 1 + r.IntN(max(1, min(5, last-first))) // the library wants it less than the range
		switch kind := r.IntN(3); {
		case kind == 0 || first == last:
			items, last = append(items, fmt.Sprint(first)), first
		case kind == 1:
			items, step = append(items, fmt.Sprintf("%d-%d", first, last)), 1
		default:
			items = append(items, fmt.Sprintf("%d-%d/%d", first, last, step))
		}
		for v := first; v <= last; v += step {
			set[v] = true
		}
	}
	return strings.Join(items, ",")
}

// shownMinute is one minute of a clock on the wall: one that it showed at a time, for the first time or again; or one
// that it skipped, which is due at a time.
type shownMinute struct {
	at             int64 // seconds since 1970
	fields         [5]int
	again, skipped bool
}

func fieldsOf(t time.Time) [5]int {
	return [5]int{t.Minute(), t.Hour(), t.Day(), int(t.Month()), int(t.Weekday())}
}

// window is what a zone's clocks show from an hour before a time until four hours after it, minute by minute.
type window struct {
	from, until time.Time
	minutes     []shownMinute
}

func windowAround(edge time.Time, zone *time.Location) *window {
	edge = edge.Truncate(time.Minute)
	w := &window{from: edge.Add(-time.Hour), until: edge.Add(4 * time.Hour)}
	shown := map[string]bool{}
	t := w.from.Add(-27 * time.Hour) // so that what was shown the first time is known
	for _, offset := t.In(zone).Zone(); t.Before(w.until); t = t.Add(time.Minute) {
		local := t.In(zone)
		if _, now := local.Zone(); now != offset {
			for gap := 0; gap < now-offset; gap += 60 {
				at := t.Add(time.Duration(gap) * time.Second)
				w.add(at, shownMinute{fields: fieldsOf(at.UTC().Add(time.Duration(offset) * time.Second)), skipped: true})
			}
			offset = now
		}
		wall := local.Format("2006-01-02 15:04")
		w.add(t, shownMinute{fields: fieldsOf(local), again: shown[wall]})
		shown[wall] = true
	}
	return w
}

func (w *window) add(at time.Time, m shownMinute) {
	if m.at = at.Unix(); !at.Before(w.from) && at.Before(w.until) {
		w.minutes = append(w.minutes, m)
	}
}

// naive says when an expression is due in a window: for each minute, whether it is one. It shares nothing with the
// calendar but the rules.
func (w *window) naive(text string, s *sets, dst DST) (due []int64) {
	fields := strings.Fields(text)
	either, byTime := fields[2] != "*" && fields[4] != "*", true
	for hour := range 24 {
		byTime = byTime && s[1][hour]
	}
	for _, m := range w.minutes {
		inMonth, inWeek := s[2][m.fields[2]], s[4][m.fields[4]]
		onDay := inMonth && inWeek || either && (inMonth || inWeek)
		switch {
		case !s[0][m.fields[0]] || !s[1][m.fields[1]] || !s[3][m.fields[3]] || !onDay:
		case m.skipped && (byTime || dst == SkipDST):
		case m.again && !byTime && dst != TwiceDST:
		default:
			due = append(due, m.at)
		}
	}
	slices.Sort(due)
	return slices.Compact(due)
}

// windows are those around each change of a zone's clocks in 40 years, and around a leap day and a new year.
func windows(zone *time.Location) (all []*window) {
	for t := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC); ; {
		_, end := t.In(zone).ZoneBounds()
		if end.IsZero() || end.Year() >= 2040 {
			break
		}
		all, t = append(all, windowAround(end, zone)), end
	}
	for _, t := range []time.Time{time.Date(2024, 2, 29, 0, 0, 0, 0, zone), time.Date(2027, 1, 1, 0, 0, 0, 0, zone)} {
		all = append(all, windowAround(t, zone))
	}
	return all
}

// TestCronAgreesWithANaiveReading_R222 compares 100,000 random expressions, each with a zone, a rule and a change of its
// clocks, with a reading minute by minute, and with a library where there are no zones in it.
func TestCronAgreesWithANaiveReading_R222(t *testing.T) {
	const expressions = 100_000
	r := rand.New(rand.NewPCG(20, 26))
	parser := oracle.MustNewParser(oracle.Minute | oracle.Hour | oracle.Dom | oracle.Month | oracle.Dow | oracle.DowOrDom)
	near := map[string][]*window{}
	for _, name := range zones {
		near[name] = windows(zoneNamed(t, name))
	}
	rules := []DST{OnceDST, SkipDST, TwiceDST}
	due := 0
	for range expressions {
		text, s := randomCron(r)
		expr, err := parseCron(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		name := zones[r.IntN(len(zones))]
		c := &cronCalendar{expr, zoneNamed(t, name), rules[r.IntN(len(rules))]}
		w := near[name][r.IntN(len(near[name]))]
		want := w.naive(text, &s, c.dst)
		if got := between(c, w.from, w.until); !slices.Equal(got, want) {
			t.Fatalf("%s in %s, dst %s, from %v:\n got %v\nwant %v", text, name, c.dst, w.from, got, want)
		}
		due += len(want)
		schedule, err := parser.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		utc := &cronCalendar{expr, time.UTC, c.dst}
		got, ok := utc.next(w.from)
		if want := schedule.Next(w.from.UTC()); !want.IsZero() && (!ok || !got.Equal(want)) { // it looks five years ahead
			t.Fatalf("%s from %v: %v, want %v", text, w.from, got.UTC(), want)
		}
	}
	if due < expressions/10 {
		t.Errorf("only %d times were due: the expressions are too rare to prove anything", due)
	}
}

func between(c calendar, from, until time.Time) (due []int64) {
	for t := from.Add(-time.Nanosecond); ; {
		at, ok := c.next(t)
		if !ok || !at.Before(until) {
			return due
		}
		due, t = append(due, at.Unix()), at
	}
}

// TestLastDayOfALeapYear_R222: Go's bounds of a zone's rule end each year after 365 days.
func TestLastDayOfALeapYear_R222(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	expr, err := parseCron("30 6 * * *")
	if err != nil {
		t.Fatal(err)
	}
	daily := &dayCalendar{6*3600 + 30*60, zone}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, c := range []calendar{&cronCalendar{expr, zone, OnceDST}, daily} {
			at := time.Date(2096, time.December, 29, 0, 0, 0, 0, time.UTC) // where no table of changes reaches
			for day := 29; day <= 33; day++ {
				at, _ = c.next(at)
				if want := time.Date(2096, time.December, day, 5, 30, 0, 0, time.UTC); !at.Equal(want) {
					t.Errorf("%T: next is %v, want %v", c, at, want)
				}
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a calendar goes round in circles")
	}
}
