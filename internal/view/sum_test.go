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

func TestSum_AddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s sum
		for range 2 { // the second time in the room of the first
			var want, got report.Histogram
			for _, times := range rapid.SliceOf(rapid.SliceOf(rapid.Int64Range(0, int64(time.Hour)))).Draw(t, "histograms") {
				var live report.Live
				for _, d := range times {
					live.Add(time.Duration(d))
				}
				h := live.Snapshot()
				want = want.Plus(h)
				if rapid.Bool().Draw(t, "as a sum") {
					var other sum
					other.add(h)
					s.plus(&other)
				} else {
					s.add(h)
				}
			}
			if got = s.histogram(got); !slices.Equal(got, want) {
				t.Fatalf("it is %v, not %v", got, want)
			}
			s.reset()
		}
	})
}
