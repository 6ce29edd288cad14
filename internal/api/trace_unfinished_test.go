package api

import (
	"slices"
	"testing"
	"time"
)

// along is a part of another route.
func along(from, typ, to string, s Span) Span {
	s.From, s.Type, s.To = from, typ, to
	return s
}

func TestUnfinished_IsWhatNoHandlerToldOf(t *testing.T) {
	t.Parallel()
	handled := []Span{part("s", "", "send", 0, 0, 1), part("f", "s", "forward", 0, 1, 1), part("w", "f", "wait", 0, 2, 1), part("h", "f", "handle", 0, 3, 10)}
	answered := func(s Span) Span { s.Answered = true; return s }
	ended := func(s Span, how string) Span { s.Outcome = how; return s }
	kept := func(s Span, why string) Span { s.Kept = why; return s }
	for name, c := range map[string]struct {
		spans []Span
		want  []string
	}{
		"handled":                      {handled, nil},
		"sent":                         {handled[:1], []string{"s"}},
		"passed on":                    {handled[:2], []string{"f"}},
		"in its handler":               {handled[:3], []string{"w"}},
		"its handler is all there is":  {handled[3:], nil},
		"answered":                     {append([]Span{answered(handled[0])}, handled[1:3]...), nil},
		"answered by a plain program":  {[]Span{answered(handled[0])}, nil},
		"refused at the second worker": {append(slices.Clone(handled), part("f2", "h", "forward", 1, 12, 1), ended(part("w2", "f2", "wait", 1, 12, 1), "busy")), nil},
		"nobody took it":               {append(slices.Clone(handled[:2]), ended(part("f2", "f", "forward", 0, 12, 1), "stop")), nil},
		"stopped":                      {append([]Span{ended(handled[0], "stop")}, handled[1:2]...), nil},
		"timed out meanwhile":          {append([]Span{ended(handled[0], "timeout")}, handled[1:3]...), []string{"w"}},
		"sent beside the answer": {append([]Span{answered(handled[0])}, handled[1], handled[2], handled[3], part("beside", "h", "send", 1, 4, 1)),
			[]string{"beside"}},
		"asked beside it":        {append(slices.Clone(handled), answered(part("beside", "h", "send", 1, 4, 1))), nil},
		"handed out again":       {append(slices.Clone(handled), part("w2", "f", "wait", 0, 20, 1)), []string{"w2"}},
		"handled again":          {append(slices.Clone(handled), part("w2", "f", "wait", 0, 20, 1), part("h2", "f", "handle", 0, 21, 1)), nil},
		"kept since it was slow": {[]Span{kept(handled[0], "slow"), kept(handled[2], "slow")}, nil},
	} {
		var got []string
		for _, s := range Unfinished(c.spans) {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

func TestNewTrace_RunsWhileSpansComeAndOneIsMissing(t *testing.T) {
	t.Parallel()
	spans := []Span{along("a", "t", "b", part("s", "", "send", 0, 0, 1)), along("a", "t", "b", part("w", "s", "wait", 0, 1, 1))}
	for _, c := range []struct {
		quiet   time.Duration
		spans   []Span
		running bool
	}{
		{0, spans, true}, {runningFor, spans, false}, {0, append(slices.Clone(spans), part("h", "s", "handle", 0, 2, 1)), false},
	} {
		trace := NewTrace("x", c.spans, c.quiet)
		if trace.Running != c.running || NewTraceHead("x", c.spans, c.quiet).Running != c.running {
			t.Errorf("%v after the last of %d it says %v", c.quiet, len(c.spans), trace.Running)
		}
		if (trace.Slowest == "") != c.running {
			t.Errorf("%v after the last of %d the slowest is %q", c.quiet, len(c.spans), trace.Slowest)
		}
		if whole := len(c.spans) == 3; whole != (len(trace.Unfinished) == 0) || !whole && trace.Unfinished[0] != "a→t→b" {
			t.Errorf("of %d %v are unfinished", len(c.spans), trace.Unfinished)
		}
	}
}
