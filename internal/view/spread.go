package view

import (
	"time"

	"github.com/damrey/damrey/internal/report"
)

// part is a step, and what share of what the parts before it left belongs there.
type part struct {
	step  int64
	share float64
}

// spell is the time that what came with a beat is spread over: beats and steps do not begin together, so counts belong partly
// to the step before the one in which they are heard.
type spell struct {
	fine, minutes []part

	some, left report.Histogram // room for what is being spread
}

// set makes it the time from one moment to another. What lies further back than steps are open goes to the first that is.
func (s *spell) set(from, to time.Duration) {
	s.fine = parts(s.fine[:0], from, to, fineStep, open)
	s.minutes = parts(s.minutes[:0], from, to, coarseStep, openMinutes)
}

func parts(room []part, from, to, length time.Duration, most int64) []part {
	first := max(int64(from/length), int64(to/length)-most+1)
	from = max(from, time.Duration(first)*length)
	for n := first; ; n++ {
		end := time.Duration(n+1) * length
		if end >= to {
			return append(room, part{n, 1})
		}
		room = append(room, part{n, float64(end-from) / float64(to-from)})
		from = end
	}
}

// over adds to each step its part; all of them are what came.
func (s *spell) over(parts []part, at func(int64) *step, came *counts, stay report.Histogram) {
	if len(parts) > 1 {
		s.left = append(s.left[:0], stay...)
		stay = s.left
	}
	left := *came
	for _, p := range parts {
		c, some := left, stay
		if p.share < 1 {
			c = left.cut(p.share)
			s.some, stay = cutHistogram(s.some[:0], stay, p.share)
			some = s.some
		}
		if len(some) > 0 || c.traffic() {
			at(p.step).take(&c, some)
		}
	}
}

// cut takes a share. No step has more that failed than were handled.
func (c *counts) cut(share float64) (some counts) {
	for i, n := range c {
		some[i] = portion(n, share)
	}
	if c[failed] <= c[handled] {
		some[handled] = some[failed] + portion(c[handled]-c[failed], share)
	}
	for i, n := range some {
		c[i] -= n
	}
	return some
}

// cutHistogram takes a share of the messages, evenly from the short to the long ones, so that its percentiles are about those of
// all. It leaves the rest in place.
func cutHistogram(some, all report.Histogram, share float64) (_, left report.Histogram) {
	left = all[:0]
	var passed, taken uint64
	for _, c := range all {
		passed += c.N
		n := min(c.N, portion(passed, share)-taken)
		taken += n
		if n > 0 {
			some = append(some, report.Count{Bucket: c.Bucket, N: n})
		}
		if c.N > n {
			left = append(left, report.Count{Bucket: c.Bucket, N: c.N - n})
		}
	}
	return some, left
}

func portion(n uint64, share float64) uint64 { return min(n, uint64(float64(n)*share)) }
