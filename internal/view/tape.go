package view

import (
	"encoding/binary"
	"iter"
	"math"
	"time"

	"github.com/damrey/damrey/internal/report"
)

// record is one step of a route or an instance.
type record struct {
	step int64
	counts
	load load             // of an instance
	stay report.Histogram // on an exact tape
	at   percentiles
}

// tape keeps the steps of a route or an instance, packed: steps without traffic take no room and others some twelve bytes, or
// sixty when it is exact. Steps are appended in their order.
type tape struct {
	exact bool // it keeps histograms and all counts; else percentiles, and what is counted but for coarseLess
	data  []byte
	base  int64 // the step before the first that is kept
	last  int64
}

// coarseLess are the counts that only an exact tape keeps.
const coarseLess = 1<<waited | 1<<worked | 1<<sent

// Beside the counts, what of a load a record has.
const (
	hasInFlight = 1 << (kinds + iota)
	hasQueued
)

func (t *tape) append(r *record) {
	if len(t.data) == 0 {
		t.base, t.last = r.step-1, r.step-1
	}
	d := binary.AppendUvarint(t.data, uint64(r.step-t.last))
	t.last = r.step
	var mask uint64
	for i, n := range r.counts {
		if n > 0 {
			mask |= 1 << i
		}
	}
	if !t.exact {
		mask &^= coarseLess
	}
	if r.load.inFlight > 0 {
		mask |= hasInFlight
	}
	if r.load.queued > 0 {
		mask |= hasQueued
	}
	d = binary.AppendUvarint(d, mask)
	for i, n := range r.counts {
		if mask&(1<<i) != 0 {
			d = binary.AppendUvarint(d, n)
		}
	}
	if mask&hasInFlight != 0 {
		d = binary.AppendUvarint(d, r.load.inFlight)
	}
	if mask&hasQueued != 0 {
		d = binary.AppendUvarint(d, r.load.queued)
	}
	if t.exact {
		d = appendHistogram(d, r.stay)
	} else {
		for _, p := range r.at {
			d = binary.AppendUvarint(d, logOf(p))
		}
	}
	t.data = d
}

// trim forgets the steps before one.
func (t *tape) trim(oldest int64) {
	in := reader{t.data}
	at := t.base
	for len(in.data) > 0 {
		before := in
		r := in.record(t.exact, at)
		if r.step >= oldest {
			t.data, t.base = before.data, at
			return
		}
		at = r.step
	}
	t.data = nil
}

// steps are all that are kept, in their order.
func (t *tape) steps() iter.Seq[record] {
	return func(yield func(record) bool) {
		in, at := reader{t.data}, t.base
		for len(in.data) > 0 {
			r := in.record(t.exact, at)
			at = r.step
			if !yield(r) {
				return
			}
		}
	}
}

// logSteps are how many steps double a time in a percentile that is kept for long; each is a quarter of a percent.
const logSteps = 256

// logOf is a time in those steps, in two bytes as a rule; 0 for none.
func logOf(d time.Duration) uint64 {
	if d < time.Microsecond {
		return 0
	}
	return 1 + uint64(math.Round(math.Log2(float64(d)/float64(time.Microsecond))*logSteps))
}

func timeOf(n uint64) time.Duration {
	if n == 0 {
		return 0
	}
	return time.Duration(math.Exp2(float64(n-1)/logSteps) * float64(time.Microsecond))
}

func appendHistogram(d []byte, h report.Histogram) []byte {
	d = binary.AppendUvarint(d, uint64(len(h)))
	last := 0
	for _, c := range h {
		d = binary.AppendUvarint(d, uint64(c.Bucket-last))
		d = binary.AppendUvarint(d, c.N)
		last = c.Bucket
	}
	return d
}

// reader unpacks what was packed here.
type reader struct{ data []byte }

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.data)
	r.data = r.data[size:]
	return n
}

func (r *reader) record(exact bool, after int64) (rec record) {
	rec.step = after + int64(r.uvarint())
	mask := r.uvarint()
	for i := range rec.counts {
		if mask&(1<<i) != 0 {
			rec.counts[i] = r.uvarint()
		}
	}
	if mask&hasInFlight != 0 {
		rec.load.inFlight = r.uvarint()
	}
	if mask&hasQueued != 0 {
		rec.load.queued = r.uvarint()
	}
	if exact {
		rec.stay = r.histogram()
		return rec
	}
	for i := range rec.at {
		rec.at[i] = timeOf(r.uvarint())
	}
	return rec
}

func (r *reader) histogram() report.Histogram {
	n := int(r.uvarint())
	if n == 0 {
		return nil
	}
	h := make(report.Histogram, n)
	last := 0
	for i := range h {
		last += int(r.uvarint())
		h[i] = report.Count{Bucket: last, N: r.uvarint()}
	}
	return h
}
