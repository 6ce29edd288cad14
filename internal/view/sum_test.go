package view

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/damrey/damrey/internal/report"
)

func TestCame_IsWhatWasAdded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all report.Live
		add := func(label string) (h report.Histogram) {
			var alone report.Live
			for _, d := range rapid.SliceOf(rapid.Int64Range(0, int64(2*time.Hour))).Draw(t, label) {
				alone.Add(time.Duration(d))
				all.Add(time.Duration(d))
			}
			return alone.Snapshot()
		}
		add("before")
		before := all.Snapshot()
		more := add("more")
		room := make(report.Histogram, 0, 3)
		if got := came(room, all.Snapshot(), reader{appendHistogram(nil, before)}); !slices.Equal(got, more) {
			t.Fatalf("%v after %v: %v came, not %v", all.Snapshot(), before, got, more)
		}
	})
}

// Another took the name: what it counted is all new.
func TestCame_CountsThatFell(t *testing.T) {
	t.Parallel()
	before := report.Histogram{{Bucket: 3, N: 7}, {Bucket: 5, N: 2}}
	for name, h := range map[string]report.Histogram{
		"less":              {{Bucket: 3, N: 8}, {Bucket: 5, N: 1}},
		"a bucket less":     {{Bucket: 3, N: 8}},
		"the first is gone": {{Bucket: 4, N: 1}, {Bucket: 5, N: 2}},
		"nothing":           {},
		"nothing as before": nil,
		"more at the end":   {{Bucket: 3, N: 1}, {Bucket: 6, N: 9}},
	} {
		if got := came(nil, h, reader{appendHistogram(nil, before)}); !slices.Equal(got, h) {
			t.Errorf("%s: %v came of %v", name, got, h)
		}
	}
}

func TestInto_AddsInPlace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (h report.Histogram) {
			var live report.Live
			for _, d := range rapid.SliceOf(rapid.Int64Range(0, int64(time.Hour))).Draw(t, label) {
				live.Add(time.Duration(d))
			}
			return live.Snapshot()
		}
		h, more := draw("h"), draw("more")
		want, kept := h.Plus(more), slices.Clone(more)
		room := append(make(report.Histogram, 0, len(h)+rapid.IntRange(0, 20).Draw(t, "room")), h...)
		if got := into(room, more); !slices.Equal(got, want) || !slices.Equal(more, kept) {
			t.Fatalf("%v and %v are %v, not %v", h, more, got, want)
		}
	})
}
