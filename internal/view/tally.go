package view

import (
	"time"

	"github.com/damrey/damrey/internal/report"
)

// Bounds of the histograms that are given to others, powers of two in nanoseconds: 65 µs to 17 s. Every bound of theirs is one
// of a beat's buckets, so they are exact.
var Bounds = [...]time.Duration{
	1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24, 1 << 25,
	1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30, 1 << 31, 1 << 32, 1 << 33, 1 << 34,
}

// tally is what was counted of a route since the view began.
type tally struct {
	counts
	bounds [len(Bounds) + 1]uint64 // how many stayed less, each without those of the bound before
}

// count adds what came meanwhile.
func (t *tally) count(c *counts, stay report.Histogram) {
	t.counts.add(c)
	i := 0
	for _, s := range stay {
		for i < len(Bounds) && report.Bound(s.Bucket) > Bounds[i] {
			i++
		}
		t.bounds[i] += s.N
	}
}

// add adds another one.
func (t *tally) add(more *tally) {
	t.counts.add(&more.counts)
	for i, n := range more.bounds {
		t.bounds[i] += n
	}
}
