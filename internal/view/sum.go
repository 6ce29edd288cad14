package view

import (
	"slices"

	"github.com/damrey/damrey/internal/report"
)

// sum adds up histograms without making one for each step.
type sum struct {
	n         [report.Buckets]uint64
	low, high int // of what is not 0; high is beyond it
}

func (s *sum) add(h report.Histogram) {
	if len(h) == 0 {
		return
	}
	low, high := h[0].Bucket, h[len(h)-1].Bucket+1
	if s.high == 0 {
		s.low, s.high = low, high
	}
	s.low, s.high = min(s.low, low), max(s.high, high)
	for _, c := range h {
		s.n[c.Bucket] += c.N
	}
}

// take is the sum, which is nothing afterwards.
func (s *sum) take() report.Histogram {
	if s.high == 0 {
		return nil
	}
	h := make(report.Histogram, 0, s.high-s.low)
	for b, n := range s.n[s.low:s.high] {
		if n > 0 {
			h = append(h, report.Count{Bucket: s.low + b, N: n})
		}
	}
	clear(s.n[s.low:s.high])
	s.low, s.high = 0, 0
	return h
}

// into adds to a histogram that is nobody else's, in its own room as far as it has some.
func into(h, more report.Histogram) report.Histogram {
	fresh := missing(h, more)
	last, from := len(h)-1, len(more)-1
	h = slices.Grow(h, fresh)[:len(h)+fresh]
	// From the end on, so that nothing is written over that is still to be read.
	for to := len(h) - 1; from >= 0; to-- {
		switch {
		case last >= 0 && h[last].Bucket > more[from].Bucket:
			h[to] = h[last]
			last--
		case last >= 0 && h[last].Bucket == more[from].Bucket:
			h[to] = report.Count{Bucket: h[last].Bucket, N: h[last].N + more[from].N}
			last--
			from--
		default:
			h[to] = more[from]
			from--
		}
	}
	return h
}

// missing is how many buckets of more a histogram does not have.
func missing(h, more report.Histogram) (n int) {
	i := 0
	for _, c := range more {
		for i < len(h) && h[i].Bucket < c.Bucket {
			i++
		}
		if i == len(h) || h[i].Bucket != c.Bucket {
			n++
		}
	}
	return n
}

// came appends to room what came to h after what was packed before. Counts never fall; where one did, another took the name, and
// all of h is new.
func came(room, h report.Histogram, before reader) report.Histogram {
	if len(before.data) == 0 {
		return append(room, h...)
	}
	empty := room
	left := before.uvarint()
	last, bucket, n := 0, 0, uint64(0)
	next := func() {
		if bucket, n = report.Buckets, 0; left > 0 {
			bucket, n = last+int(before.uvarint()), before.uvarint()
			last = bucket
			left--
		}
	}
	next()
	for _, c := range h {
		if bucket < c.Bucket || bucket == c.Bucket && c.N < n {
			return append(empty, h...)
		}
		if bucket == c.Bucket {
			c.N -= n
			next()
		}
		if c.N > 0 {
			room = append(room, c)
		}
	}
	if bucket < report.Buckets {
		return append(empty, h...)
	}
	return room
}
