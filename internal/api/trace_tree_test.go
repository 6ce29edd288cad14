package api

import (
	"math"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func part(id, parent, kind string, hop int, begin, duration float64) Span {
	return Span{
		ID: id, Parent: parent, Kind: kind, From: "a", Type: "t", To: "b", Hop: hop, Outcome: "ok", Kept: "sampled",
		Begin: noon.Add(time.Duration(begin * float64(time.Millisecond))), Duration: duration,
	}
}

// a send of 100 ms, whose second hop waits for 60.
func slowLine() []Span {
	return []Span{
		part("h2", "f", "handle", 1, 80, 15),
		part("s", "", "send", 0, 0, 100),
		part("w1", "s", "wait", 0, 2, 3),
		part("h1", "s", "handle", 0, 5, 10),
		part("f", "h1", "forward", 1, 14, 1),
		part("w2", "f", "wait", 1, 20, 60),
		part("h2", "f", "handle", 1, 80, 15),
	}
}

func TestNewTrace_FindsTheSlowPart(t *testing.T) {
	t.Parallel()
	trace := NewTrace("x", slowLine(), time.Hour)
	if trace.Spans != 6 || trace.Duration != 100 || trace.Route != "a→t→b" || trace.Outcome != "ok" {
		t.Errorf("%+v", trace.TraceHead)
	}
	if trace.Slowest != "w2" {
		t.Errorf("the slowest is %s", trace.Slowest)
	}
	own := make(map[string]float64)
	for _, s := range trace.Path {
		own[s.ID] = s.Own
	}
	for id, want := range map[string]float64{"s": 12, "h1": 9, "w2": 60, "h2": 15, "f": 1} {
		if got := own[id]; got < want-0.001 || got > want+0.001 {
			t.Errorf("%s took %v itself, not %v", id, got, want)
		}
	}
	depths := trace.Depths()
	for id, want := range map[string]int{"s": 0, "w1": 1, "h1": 1, "f": 2, "h2": 3} {
		if depths[id] != want {
			t.Errorf("%s is %d deep, not %d", id, depths[id], want)
		}
	}
}

// What goes on at once counts once, and a request to a program that tells of no spans is slow itself.
func TestNewTrace_OwnTimeOfParallelRequests(t *testing.T) {
	t.Parallel()
	trace := NewTrace("x", []Span{
		part("s", "", "send", 0, 0, 102),
		part("h", "s", "handle", 0, 1, 100),
		part("left", "h", "send", 1, 10, 60),
		part("right", "h", "send", 1, 10, 60),
		part("right.h", "right", "handle", 1, 20, 45),
	}, time.Hour)
	var own []float64
	for _, s := range trace.Path {
		own = append(own, math.Round(s.Own))
	}
	if want := []float64{2, 40, 60, 15, 45}; !slices.Equal(own, want) {
		t.Errorf("own times are %v, not %v", own, want)
	}
	if trace.Slowest != "left" {
		t.Errorf("the slowest is %s", trace.Slowest)
	}
}

func TestNewTrace_Outcome(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func([]Span)
		want   string
	}{
		"who asks knows best":      {func(s []Span) { s[1].Outcome = "timeout" }, "timeout"},
		"the last handler":         {func(s []Span) { s[0].Outcome, s[6].Outcome = "no_route", "no_route" }, "error"},
		"one before was repeated":  {func(s []Span) { s[3].Outcome = "error" }, "ok"},
		"nobody took it":           {func(s []Span) { s[1].Outcome = "stop" }, "stop"},
		"a circle is no end":       {func(s []Span) { s[1].Parent = "h2" }, "ok"},
		"what is its own parent":   {func(s []Span) { s[3].Parent = "h1" }, "ok"},
		"a parent that is missing": {func(s []Span) { s[1].Parent = "gone" }, "ok"},
	} {
		spans := slowLine()
		c.change(spans)
		trace := NewTrace("x", spans, time.Hour)
		if trace.Outcome != c.want {
			t.Errorf("%s: %s, not %s", name, trace.Outcome, c.want)
		}
		trace.Depths()
	}
}

// Two branches that overlap in time do not mix.
func TestNewTrace_KeepsBranchesTogether(t *testing.T) {
	t.Parallel()
	trace := NewTrace("x", []Span{
		part("s", "", "send", 0, 0, 100),
		part("right", "s", "forward", 1, 20, 1),
		part("left", "s", "forward", 1, 10, 1),
		part("right.h", "right", "handle", 1, 25, 5),
		part("left.w", "left", "wait", 1, 11, 20),
		part("left.h", "left", "handle", 1, 31, 30),
		part("left.f", "left.h", "forward", 2, 40, 1),
		part("lost", "gone", "handle", 3, 15, 1),
		part("lost.f", "lost", "forward", 4, 16, 1),
		part("round", "round.f", "handle", 5, 50, 1),
		part("round.f", "round", "forward", 5, 51, 1),
	}, time.Hour)
	var got []string
	for _, s := range trace.Path {
		got = append(got, s.ID)
	}
	want := []string{"s", "left", "left.w", "left.h", "left.f", "right", "right.h", "lost", "lost.f", "round", "round.f"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

// The picture of a TIMEOUT names the hop that its error names.
func TestNewTrace_SlowestOfATimeoutIsWhereTheTimeRanOut(t *testing.T) {
	t.Parallel()
	late := part("s", "", "send", 0, 0, 150)
	late.Outcome = "timeout"
	line := []Span{
		late, part("h1", "s", "handle", 0, 90, 2), part("f", "h1", "forward", 1, 91, 1), part("h2", "f", "handle", 1, 95, 54),
		part("beside", "h1", "send", 1, 91, 1), part("beside.h", "beside", "handle", 1, 92, 300),
		part("f2", "h2", "forward", 2, 148, 1), part("too late", "f2", "handle", 2, 151, 200),
	}
	if got := NewTrace("x", line, time.Hour).Slowest; got != "h2" {
		t.Errorf("the slowest is %q", got)
	}
	lost := append(slices.Clone(line[:3]), part("h2", "f", "handle", 1, 95, 3)) // and then it got nowhere
	if got := NewTrace("x", lost, time.Hour).Slowest; got != "s" {
		t.Errorf("the slowest of one that got lost is %q", got)
	}
}
