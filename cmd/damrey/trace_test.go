package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

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

// It marks the span that the trace says, with the own times that it says, as the page does.
func TestTrace_PrintsTheSlowestThatTheProxyFound(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	span := func(id, parent, kind, to string, from, took time.Duration) api.Span {
		return api.Span{ID: id, Parent: parent, Kind: kind, From: "a", Type: "t", To: to, Begin: begin.Add(from), Duration: float64(took / time.Millisecond), Outcome: "ok"}
	}
	const ms = time.Millisecond
	var stdout bytes.Buffer
	err := newTestApp(&stdout, nil, nil).printTrace(api.NewTrace("x", []api.Span{
		span("s", "", "send", "add", 0, 120*ms),
		span("h", "s", "handle", "add", 10*ms, 100*ms),
		span("left", "h", "send", "plain", 20*ms, 60*ms),
		span("right", "h", "send", "other", 20*ms, 60*ms),
	}, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`handle a→t→add .* 100ms +40ms`, `send a→t→plain .* 60ms +60ms .*◀ slowest`, `total: 120ms, 50 % of it in: send a→t→plain`} {
		if !regexp.MustCompile(want).MatchString(stdout.String()) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	if n := strings.Count(stdout.String(), "slowest"); n != 1 {
		t.Errorf("%d are the slowest:\n%s", n, stdout.String())
	}
}
