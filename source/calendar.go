package source

import (
	"fmt"
	"time"
)

// DST is what happens to times of a day that a change of the clocks doubles or skips.
type DST string

// The rules. An expression that allows every hour goes by time that passes, whatever the rule: it is due in both of two
// doubled hours, and no hour is missing where one is skipped.
const (
	OnceDST  DST = "once"  // a doubled time counts the first time; a skipped one is due as if the clocks had not changed yet
	SkipDST  DST = "skip"  // a doubled time counts the first time, a skipped one not at all
	TwiceDST DST = "twice" // a doubled time counts both times; a skipped one as with once
)

// calendar says when something is due, in a zone.
type calendar interface {
	// next is the first time after t.
	next(t time.Time) (at time.Time, ok bool)
}

// cronCalendar is an expression in a zone.
type cronCalendar struct {
	cron cron
	zone *time.Location
	dst  DST
}

// dayCalendar is one time of day, in seconds, of each day of a zone.
type dayCalendar struct {
	second int64
	zone   *time.Location
}

// stretch is a stretch of time in which a zone's clocks do not change. Times are seconds since 1970.
type stretch struct {
	start, end     int64 // the first second, and the one after the last
	offset, before int64 // of wall clocks to UTC: in it, and before its start
}

// forever is longer than anybody asks for, and small enough to calculate with.
const forever = 1 << 60

func stretchAt(second int64, zone *time.Location) stretch {
	t := time.Unix(second, 0).In(zone)
	_, offset := t.Zone()
	s := stretch{start: -forever, end: forever, offset: int64(offset), before: int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		_, before := start.Add(-time.Second).Zone()
		s.start, s.before = start.Unix(), int64(before)
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= second { // by a zone's rule, ZoneBounds ends every year after 365 days
		const day = 24 * 60 * 60
		s.end = second - second%day + day
	}
	return s
}

func (c *cronCalendar) next(t time.Time) (time.Time, bool) {
	for second := t.Unix() + 1; ; {
		s := stretchAt(second, c.zone)
		at := min(c.shown(second, s), c.skipped(second, s))
		switch {
		case at == forever:
			return time.Time{}, false
		case at < s.end:
			return time.Unix(at, 0), true
		}
		// Clocks that are turned back show again what they showed before, and never what they did not.
		if minute, ok := c.cron.next(minuteFrom(second + s.offset - 2*mostOffset)); ok {
			second = max(s.end, minute*60-s.offset-2*mostOffset)
		} else {
			second = s.end
		}
	}
}

// mostOffset is more than any clock is off UTC, in seconds.
const mostOffset = 26 * 60 * 60

// everyHour reports whether the expression goes by time that passes.
func (c *cronCalendar) everyHour() bool { return c.cron.hour == allHours }

// shown is the first second from second on at which clocks of the stretch show a time of the expression.
func (c *cronCalendar) shown(second int64, s stretch) int64 {
	wall := second + s.offset
	if c.dst != TwiceDST && !c.everyHour() {
		wall = max(wall, s.start+s.before) // before that, clocks showed it the first time
	}
	minute, ok := c.cron.next(minuteFrom(wall))
	if !ok {
		return forever
	}
	return minute*60 - s.offset
}

// skipped is the first second from second on that is due for a time which the clocks skipped at the stretch's start.
func (c *cronCalendar) skipped(second int64, s stretch) int64 {
	if c.dst == SkipDST || c.everyHour() || s.before >= s.offset {
		return forever
	}
	minute, ok := c.cron.next(minuteFrom(max(second, s.start) + s.before))
	if !ok || minute*60 >= s.start+s.offset {
		return forever
	}
	return minute*60 - s.before
}

// minuteFrom is the first full minute from a second on.
func minuteFrom(second int64) int64 {
	minute := second / 60
	if second > minute*60 {
		minute++
	}
	return minute
}

func (c *dayCalendar) next(t time.Time) (time.Time, bool) {
	local := t.In(c.zone)
	year, month, day := local.Date()
	for ; ; day++ {
		midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		if at := instant(midnight.Unix()+c.second, c.zone); at.After(t) {
			return at, true
		}
	}
}

// instant is when a zone's clocks show a time, given in seconds since 1970: the first time if it is doubled, and if it
// is skipped, as if the clocks had not changed yet.
func instant(wall int64, zone *time.Location) time.Time {
	for second := wall - mostOffset; ; {
		s := stretchAt(second, zone)
		switch at := wall - s.offset; {
		case at >= s.start && at < s.end:
			return time.Unix(at, 0)
		case at < s.start: // it was skipped right there
			return time.Unix(wall-s.before, 0)
		}
		second = s.end
	}
}

// parseAt reads a time: RFC 3339, or the same without an offset, as zone's clocks show it; or a time of day, of which
// daily is the calendar then.
func parseAt(s string, zone *time.Location) (at time.Time, daily calendar, err error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil, inReach(s, t)
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil {
			at := instant(t.Unix(), zone).Add(time.Duration(t.Nanosecond()))
			return at, nil, inReach(s, at)
		}
	}
	for _, form := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(form, s); err == nil {
			return time.Time{}, &dayCalendar{int64(t.Hour()*3600 + t.Minute()*60 + t.Second()), zone}, nil
		}
	}
	return time.Time{}, nil, fmt.Errorf(`at %q: want a time like "2026-12-24T18:00:00", with Z or an offset or in the zone, or one of day like "18:00"`, s)
}

// inReach refuses times that cannot be counted in nanoseconds since 1970: as others they would be.
func inReach(s string, t time.Time) error {
	if year := t.UTC().Year(); year < 1970 || year > 2261 {
		return fmt.Errorf("at %q: want a year from 1970 to 2261", s)
	}
	return nil
}

// loadZone finds a time zone; "" is the local one.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %q is not known on this host (zones are those of tzdata, like Europe/Berlin)", name)
	}
	return zone, nil
}
