package cron_test

import (
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/cron"
)

func TestParse_SaysWhichFieldIsWrong(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                    "has 0 fields",
		"* * * *":             "has 4 fields",
		"* * * * * * *":       "has 7 fields",
		"60 * * * *":          `field 1 of "60 * * * *", the minute: 60 is out of range, which is 0 to 59`,
		"0 24 * * *":          "field 2 of \"0 24 * * *\", the hour: 24 is out of range, which is 0 to 23",
		"0 0 0 * *":           "field 3 of \"0 0 0 * *\", the day of month: 0 is out of range, which is 1 to 31",
		"0 0 1 13 *":          "the month: 13 is out of range",
		"0 0 1 foo *":         `the month: "foo" is neither a number nor a name such as feb`,
		"0 0 * * 8":           "the day of week: 8 is out of range",
		"0 0 * * 5-7":         "write 0, such as 5-6,0",
		"61 0 0 * * *":        `field 1 of "61 0 0 * * *", the second: 61 is out of range`,
		"0 0 * * 5-2":         `"5-2" ends before it begins`,
		"*/0 * * * *":         "the step behind / must be a number from 1 on",
		"*/x * * * *":         "the step behind / must be",
		"1,,2 * * * *":        "a value is missing",
		"1- * * * *":          "a value is missing",
		"a * * * *":           `the minute: "a" is no number`,
		"-1 * * * *":          "a value is missing",
		"@sometimes":          "@sometimes is none of @yearly",
		"0 0 30 2 *":          "is no day of the next five years",
		"1/2/3 * * * *":       "the step behind /",
		"1-2-3 * * * *":       `"2-3" is no number`,
		"99999999999 * * * *": "out of range",
	} {
		_, err := cron.Parse(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, not %s", text, err, says)
		}
	}
}

func TestParse_MakesSixFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0 8 * * 1-5": "0 0 8 * * 1-5", "*/10 0 8 ? JAN-mar mon,7": "*/10 0 8 ? JAN-mar mon,0", "@Daily": "0 0 0 * * *",
		"  5   4 * * * ": "0 5 4 * * *", "0 0 29 2 *": "0 0 0 29 2 *",
	} {
		p, err := cron.Parse(text)
		if err != nil || p.String() != want {
			t.Errorf("%q: %q, %v", text, p, err)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, from, want string
		zone             *time.Location
	}{
		{"0 8 * * 1-5", "2026-01-02T08:00:00Z", "2026-01-05T08:00:00Z", time.UTC},
		{"*/10 * * * * *", "2026-01-02T08:00:59.5Z", "2026-01-02T08:01:00Z", time.UTC},
		{"0 0 13 * 5", "2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", time.UTC}, // the 13th, or a Friday
		{"0 0 */2 * 5", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", time.UTC},
		{"0 8 * * *", "2026-07-01T00:00:00Z", "2026-07-01T08:00:00+02:00", berlin},
		{"30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T02:30:00+02:00", berlin}, // left out on the 29th
		{"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z", time.UTC},
		{"59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z", time.UTC},
	} {
		p, err := cron.Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		from, err := time.Parse(time.RFC3339Nano, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Next(from, c.zone).Format(time.RFC3339); got != c.want {
			t.Errorf("%s after %s: %s, want %s", c.text, c.from, got, c.want)
		}
	}
}
