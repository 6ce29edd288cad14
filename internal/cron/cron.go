// Package cron reads the time patterns of cron, in the form that JetStream takes them.
package cron

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Example is a right pattern, for whoever wrote a wrong one.
const Example = "'0 8 * * 1-5' is 8:00 from Monday to Friday"

// Pattern is when something is due.
type Pattern struct {
	fields [6]set
	text   string
}

// set is the values that a field allows.
type set struct {
	values uint64
	any    bool // it says *
}

// field is one of the six, in their order.
type field struct {
	name     string
	min, max int
	names    []string // of the values from min on
}

var fields = [6]field{
	{"second", 0, 59, nil},
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of week", 0, 6, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// Places of the fields.
const (
	second = iota
	minute
	hour
	day
	month
	weekday
)

// shorthands are the names that cron has for patterns.
var shorthands = map[string]string{
	"@yearly": "0 0 0 1 1 *", "@annually": "0 0 0 1 1 *", "@monthly": "0 0 0 1 * *", "@weekly": "0 0 0 * * 0",
	"@daily": "0 0 0 * * *", "@midnight": "0 0 0 * * *", "@hourly": "0 0 * * * *",
}

// Parse reads five fields as cron does, or six with the seconds first, or a name such as @daily. The error names the
// field that is wrong and shows a right pattern.
func Parse(text string) (Pattern, error) {
	words := strings.Fields(text)
	if len(words) == 1 && strings.HasPrefix(words[0], "@") {
		long, ok := shorthands[strings.ToLower(words[0])]
		if !ok {
			return Pattern{}, fmt.Errorf("%s is none of @yearly, @monthly, @weekly, @daily, @hourly", words[0])
		}
		words = strings.Fields(long)
	}
	switch len(words) {
	case 5:
		words = slices.Insert(words, 0, "0")
	case 6:
	default:
		return Pattern{}, fmt.Errorf("has %d fields; give minute, hour, day of month, month and day of week, with the second before them if you like: %s", len(words), Example)
	}
	var p Pattern
	for i, f := range fields {
		if i == weekday {
			words[i] = sundays(words[i])
		}
		var err error
		if p.fields[i], err = f.parse(words[i]); err != nil {
			return Pattern{}, fmt.Errorf("field %d of %q, the %s: %w; %s", i+len(strings.Fields(text))-5, text, f.name, err, Example)
		}
	}
	p.text = strings.Join(words, " ")
	if p.Next(time.Now(), time.UTC).IsZero() {
		return Pattern{}, fmt.Errorf("%q is no day of the next five years; %s", text, Example)
	}
	return p, nil
}

// String is the pattern with six fields.
func (p Pattern) String() string { return p.text }

// sundays writes 0 for 7, which cron takes for Sunday too.
func sundays(word string) string {
	items := strings.Split(word, ",")
	for i, item := range items {
		if item == "7" {
			items[i] = "0"
		}
	}
	return strings.Join(items, ",")
}

func (f field) parse(word string) (set, error) {
	var s set
	for _, item := range strings.Split(word, ",") {
		one, err := f.parseItem(item)
		if err != nil {
			return set{}, err
		}
		s.values |= one.values
		s.any = s.any || one.any
	}
	return s, nil
}

// parseItem reads *, a value, a range, each with a step behind a slash.
func (f field) parseItem(item string) (set, error) {
	span, stepText, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		var err error
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
			return set{}, fmt.Errorf("%q: the step behind / must be a number from 1 on", item)
		}
	}
	from, to := f.min, f.max
	star := span == "*" || span == "?"
	if !star {
		var err error
		if from, to, err = f.span(span, stepped); err != nil {
			return set{}, err
		}
	}
	s := set{any: star && step == 1}
	for v := from; v <= to; v += step {
		s.values |= 1 << v
	}
	return s, nil
}

// span is first-last, or one value, which with a step goes on to the end.
func (f field) span(text string, stepped bool) (from, to int, err error) {
	first, last, ranged := strings.Cut(text, "-")
	if from, err = f.value(first); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		if to, err = f.value(last); err != nil {
			return 0, 0, err
		}
	case stepped:
		to = f.max
	default:
		to = from
	}
	if from > to {
		return 0, 0, fmt.Errorf("%q ends before it begins", text)
	}
	return from, to, nil
}

func (f field) value(text string) (int, error) {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return f.min + i, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case text == "":
		return 0, errors.New("a value is missing")
	case err != nil && f.names != nil:
		return 0, fmt.Errorf("%q is neither a number nor a name such as %s", text, f.names[1])
	case err != nil:
		return 0, fmt.Errorf("%q is no number", text)
	case n == 7 && f.max == 6:
		return 0, errors.New("7 is Sunday only where it stands alone; write 0, such as 5-6,0")
	case n < f.min || n > f.max:
		return 0, fmt.Errorf("%d is out of range, which is %d to %d", n, f.min, f.max)
	}
	return n, nil
}

// Next is the first moment after t that the pattern allows in a time zone; zero when there is none in five years.
func (p Pattern) Next(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	date := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone)
	for end := t.AddDate(5, 0, 1); date.Before(end); date = time.Date(date.Year(), date.Month(), date.Day()+1, 0, 0, 0, 0, zone) {
		if !p.onDay(date) {
			continue
		}
		if next := p.onDate(date, t); !next.IsZero() {
			return next
		}
	}
	return time.Time{}
}

// onDay: of the day of month and the day of week, both must fit when one of them says *, else either.
func (p Pattern) onDay(date time.Time) bool {
	if !p.fields[month].has(int(date.Month())) {
		return false
	}
	inMonth, inWeek := p.fields[day].has(date.Day()), p.fields[weekday].has(int(date.Weekday()))
	if p.fields[day].any || p.fields[weekday].any {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

// onDate is the first moment of a date after t. An hour that the clocks leave out is none.
func (p Pattern) onDate(date, t time.Time) time.Time {
	for h := range p.fields[hour].all {
		for m := range p.fields[minute].all {
			for s := range p.fields[second].all {
				next := time.Date(date.Year(), date.Month(), date.Day(), h, m, s, 0, date.Location())
				if next.After(t) && next.Hour() == h {
					return next
				}
			}
		}
	}
	return time.Time{}
}

func (s set) has(v int) bool { return s.values&(1<<v) != 0 }

// all yields the values, rising.
func (s set) all(yield func(int) bool) {
	for v := s.values; v != 0; v &= v - 1 {
		if !yield(bits.TrailingZeros64(v)) {
			return
		}
	}
}
