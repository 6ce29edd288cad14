package view

import (
	"slices"

	"github.com/damrey/damrey/internal/report"
)

// sum adds up histograms: a number for each bucket from the first to the last that has any. Its zero value is empty.
type sum struct {
	low int
	n   []uint64 // from low on
}

func (s *sum) add(h report.Histogram) {
	if len(h) == 0 {
		return
	}
	s.reach(h[0].Bucket, h[len(h)-1].Bucket+1)
	for _, c := range h {
		s.n[c.Bucket-s.low] += c.N
	}
}

func (s *sum) plus(other *sum) {
	if len(other.n) == 0 {
		return
	}
	s.reach(other.low, other.low+len(other.n))
	for i, n := range other.n {
		s.n[other.low-s.low+i] += n
	}
}

// reach gives it the buckets from low on that lie below high.
func (s *sum) reach(low, high int) {
	if len(s.n) == 0 {
		s.low = low
	}
	if before := s.low - low; before > 0 {
		had := len(s.n)
		s.n = slices.Grow(s.n, before)[:had+before]
		copy(s.n[before:], s.n[:had])
		clear(s.n[:before])
		s.low = low
	}
	if had, more := len(s.n), high-s.low-len(s.n); more > 0 {
		s.n = slices.Grow(s.n, more)[:had+more]
		clear(s.n[had:])
	}
}

// histogram appends to room what it comes to.
func (s *sum) histogram(room report.Histogram) report.Histogram {
	for i, n := range s.n {
		if n > 0 {
			room = append(room, report.Count{Bucket: s.low + i, N: n})
		}
	}
	return room
}

// reset empties it, but for its room.
func (s *sum) reset() { s.n = s.n[:0] }

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
