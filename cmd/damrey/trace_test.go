package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/damrey/damrey/internal/api"
)

// capture keeps the first group of what the last stdout matches: capture NAME PATTERN
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATTERN")
	}
	match := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(match) < 2 {
		ts.Fatalf("stdout does not match %s", args[1])
	}
	ts.Setenv(args[0], match[1])
}

func TestBar_StaysInItsWidth(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]float64{{0, 10, 10}, {9.99, 10, 10}, {-5, 1, 10}, {0, 0, 0}, {1e12, 1e12, 1}, {5, 0.001, 10}} {
		text := bar(c[0], c[1], c[2])
		if n := strings.Count(text, "·") + strings.Count(text, "█"); n != barWidth || !strings.Contains(text, "█") {
			t.Errorf("%v: %q", c, text)
		}
	}
}

func TestTrace_SaysOnceHowASpanEnded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ outcome, err, want string }{
		{"stop", "STOP: nobody took it", "stop: nobody took it"}, {"error", "ERROR: bad", "error: bad"},
		{"error", "bad: worse", "error: bad: worse"}, {"no_route", "", "no_route"},
	} {
		if got := outcomeText(api.Span{Outcome: c.outcome, Error: c.err}); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	if got := routeText("nobody→x→"); got != "nobody→x→?" {
		t.Error(got)
	}
	if got := routeText("a→x→b"); got != "a→x→b" {
		t.Error(got)
	}
}
