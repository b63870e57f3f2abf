package source

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// cron is a calendar expression, man 5 crontab: a set of allowed values for each of five fields. It is about what a
// clock on the wall shows, and knows nothing of zones.
type cron struct {
	minute uint64
	hour   uint32
	day    uint32 // of the month, from bit 1
	month  uint16 // from bit 1
	week   uint8  // days of it, Sunday is bit 0
	either bool   // day and week are both restricted: one of them is enough
}

// cronField is one field of an expression.
type cronField struct {
	name        string
	least, most int
	names       string // three letters each, from least
}

var cronFields = [...]cronField{
	{"minute", 0, 59, ""},
	{"hour", 0, 23, ""},
	{"day of month", 1, 31, ""},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	{"day of week", 0, 7, "sunmontuewedthufrisat"}, // 7 is Sunday too
}

// cronNames are the expressions that have a name.
var cronNames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// allHours is an hour field that allows every hour.
const allHours = 1<<24 - 1

// parseCron reads an expression of five fields, or one of cronNames.
func parseCron(s string) (c cron, err error) {
	fields := strings.Fields(s)
	if len(fields) == 1 && cronNames[strings.ToLower(s)] != "" {
		fields = strings.Fields(cronNames[strings.ToLower(s)])
	}
	if len(fields) != len(cronFields) {
		return c, fmt.Errorf(`cron %q: want five fields, minute hour day month weekday, like "30 6 * * mon-fri"`, s)
	}
	var sets [len(cronFields)]uint64
	for i, text := range fields {
		if sets[i], err = cronFields[i].parse(text); err != nil {
			return c, fmt.Errorf("cron %q: %w", s, err)
		}
	}
	c = cron{
		minute: sets[0], hour: uint32(sets[1]), day: uint32(sets[2]), month: uint16(sets[3]), week: uint8(sets[4] | sets[4]>>7&1),
		either: fields[2][0] != '*' && fields[4][0] != '*', // man 5 crontab
	}
	if _, ok := c.next(0); !ok {
		return c, fmt.Errorf("cron %q: there is no such day", s)
	}
	return c, nil
}

// parse reads a list of values, ranges and steps.
func (f cronField) parse(text string) (set uint64, err error) {
	for item := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > f.most {
				return 0, fmt.Errorf("%s %q: want a step from 1 to %d", f.name, text, f.most)
			}
		}
		first, last, err := f.span(span, stepped)
		if err != nil {
			return 0, fmt.Errorf("%s %q: %w", f.name, text, err)
		}
		for v := first; v <= last; v += step {
			set |= 1 << v
		}
	}
	return set, nil
}

// span reads one value or range. A single value with a step goes up to the end.
func (f cronField) span(text string, stepped bool) (first, last int, err error) {
	if text == "*" {
		if f.name == "day of week" {
			return 0, 6, nil
		}
		return f.least, f.most, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if first, err = f.value(from); err != nil {
		return 0, 0, err
	}
	switch {
	case isRange:
		last, err = f.value(to)
	case stepped:
		last = f.most
	default:
		last = first
	}
	if err == nil && last < first {
		err = errors.New("the range ends before it begins")
	}
	return first, last, err
}

func (f cronField) value(text string) (int, error) {
	if i := strings.Index(f.names, strings.ToLower(text)); len(text) == 3 && i >= 0 && i%3 == 0 {
		return f.least + i/3, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.least || n > f.most || text[0] == '+' {
		return 0, fmt.Errorf("%q is not from %d to %d", text, f.least, f.most)
	}
	return n, nil
}

// longestYears is more than passes between two matches of any expression that has some: February 29 is a certain day of
// the week ("29 2 */7") once in 28 years, or in 40 around 2100.
const longestYears = 41

// next is the first minute from wall on that matches. Minutes are those of a clock on the wall, since 1970.
func (c *cron) next(wall int64) (int64, bool) {
	const perDay = 24 * 60
	day, minute := wall/perDay, int(wall%perDay)
	if minute < 0 {
		day, minute = day-1, minute+perDay
	}
	for end := day + longestYears*366; day < end; {
		date := time.Unix(day*86400, 0).UTC()
		if year, month, of := date.Date(); c.month>>month&1 == 0 {
			first := time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
			day, minute = day+int64(first.Sub(date)/(24*time.Hour)), 0
			continue
		} else if c.onDay(of, date.Weekday()) {
			if at, ok := c.nextInDay(minute); ok {
				return day*perDay + int64(at), true
			}
		}
		day, minute = day+1, 0
	}
	return 0, false
}

func (c *cron) onDay(day int, weekday time.Weekday) bool {
	inMonth, inWeek := c.day>>day&1 == 1, c.week>>weekday&1 == 1
	if c.either {
		return inMonth || inWeek
	}
	return inMonth && inWeek
}

// nextInDay is the first matching minute of a day from minute on.
func (c *cron) nextInDay(minute int) (int, bool) {
	hour, minute := minute/60, minute%60
	if c.hour>>hour&1 == 1 {
		if left := c.minute >> minute; left != 0 {
			return hour*60 + minute + bits.TrailingZeros64(left), true
		}
	}
	left := c.hour >> (hour + 1)
	if left == 0 {
		return 0, false
	}
	return (hour+1+bits.TrailingZeros32(left))*60 + bits.TrailingZeros64(c.minute), true
}
