package report

import (
	"bytes"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// sub is how many bits below the highest one tell buckets apart: eight buckets double the time, so that a bucket is at
	// most an eighth wide of what it begins with.
	sub = 3
	// unit is the width of the first buckets, 2^10 ns, about a microsecond.
	unit = 10
	// Buckets cover 0 to 2^42 ns, more than an hour. The last takes what is longer.
	Buckets = (42-unit-sub+1)<<sub + 1
)

// Bucket is the index of the bucket that a time falls into. Buckets are the same everywhere and for ever, so histograms of
// different instances add up exactly.
func Bucket(d time.Duration) int {
	n := uint64(max(0, d)) >> unit
	if n < 1<<sub {
		return int(n)
	}
	shift := bits.Len64(n) - sub - 1
	return min(shift<<sub+int(n>>shift), Buckets-1)
}

// Bound is the least time that no longer falls into a bucket.
func Bound(bucket int) time.Duration {
	return floor(bucket + 1)
}

// floor is the least time that falls into a bucket.
func floor(bucket int) time.Duration {
	if bucket < 1<<sub {
		return time.Duration(bucket) << unit
	}
	shift := bucket>>sub - 1
	return time.Duration(bucket&(1<<sub-1)|1<<sub) << (shift + unit)
}

// Live is a histogram that is being counted into. Its zero value is empty; it is safe for concurrent use.
type Live struct{ counts [Buckets]atomic.Uint64 }

// Add counts one.
func (l *Live) Add(d time.Duration) { l.counts[Bucket(d)].Add(1) }

// Snapshot is what was counted so far.
func (l *Live) Snapshot() Histogram {
	var h Histogram
	for i := range l.counts {
		if n := l.counts[i].Load(); n > 0 {
			h = append(h, Count{i, n})
		}
	}
	return h
}

// Count is how many fell into one bucket.
type Count struct {
	Bucket int
	N      uint64
}

// Histogram are the buckets that are not empty, in their order.
type Histogram []Count

// Total is how many there are.
func (h Histogram) Total() (n uint64) {
	for _, c := range h {
		n += c.N
	}
	return n
}

// Plus are both together.
func (h Histogram) Plus(other Histogram) Histogram {
	all := make(Histogram, 0, max(len(h), len(other)))
	for len(h) > 0 || len(other) > 0 {
		switch {
		case len(other) == 0 || len(h) > 0 && h[0].Bucket < other[0].Bucket:
			all = append(all, h[0])
			h = h[1:]
		case len(h) == 0 || other[0].Bucket < h[0].Bucket:
			all = append(all, other[0])
			other = other[1:]
		default:
			all = append(all, Count{h[0].Bucket, h[0].N + other[0].N})
			h, other = h[1:], other[1:]
		}
	}
	return all
}

// Quantile is the time below which a share of all lies, 0.99 for p99, taken as evenly spread within its bucket; 0 when empty.
func (h Histogram) Quantile(share float64) time.Duration {
	rank := share * float64(h.Total())
	var below float64
	for i, c := range h {
		if below += float64(c.N); below >= rank || i == len(h)-1 {
			low, high := floor(c.Bucket), Bound(c.Bucket)
			part := 1 - (below-rank)/float64(c.N)
			return low + time.Duration(min(1, max(0, part))*float64(high-low))
		}
	}
	return 0
}

// MarshalText writes the counts with a space between them, each of the next bucket, or of one that many further as stand before
// its colon: "17:5 12 2:7" are 5 in bucket 16, 12 in 17 and 7 in 19. A proxy reads thousands of them in a second.
func (h Histogram) MarshalText() ([]byte, error) {
	text := make([]byte, 0, 6*len(h))
	last := -1
	for i, c := range h {
		if i > 0 {
			text = append(text, ' ')
		}
		if further := c.Bucket - last; further > 1 {
			text = append(strconv.AppendInt(text, int64(further), 10), ':')
		}
		text = strconv.AppendUint(text, c.N, 10)
		last = c.Bucket
	}
	return text, nil
}

var errHistogram = errors.New(`a histogram is counts with a space between them, such as "17:5 12 2:7"`)

// UnmarshalText reads what MarshalText writes into the room that h has, and refuses buckets that are unknown.
func (h *Histogram) UnmarshalText(text []byte) error {
	read := (*h)[:0]
	*h = nil
	if len(text) == 0 {
		*h = read
		return nil
	}
	if len(text) > maxHistogram {
		return errHistogram
	}
	read = slices.Grow(read, 1+bytes.Count(text, []byte{' '}))
	bucket, number, digits, further := -1, uint64(0), 0, false
	for i := 0; i <= len(text); i++ {
		switch {
		case i < len(text) && text[i] >= '0' && text[i] <= '9' && digits < maxDigits:
			number = 10*number + uint64(text[i]-'0')
			digits++
		case i < len(text) && text[i] == ':' && digits > 0 && !further && number > 0 && number <= Buckets:
			bucket += int(number)
			number, digits, further = 0, 0, true
		case (i == len(text) || text[i] == ' ') && digits > 0:
			if !further {
				bucket++
			}
			if bucket >= Buckets {
				return errHistogram
			}
			read = append(read, Count{bucket, number})
			number, digits, further = 0, 0, false
		default:
			return errHistogram
		}
	}
	*h = read
	return nil
}

const (
	// maxDigits of a count; a longer one would not fit in 64 bits.
	maxDigits = 19
	// maxHistogram is how long the text of one can be.
	maxHistogram = Buckets * (maxDigits + 5)
)
