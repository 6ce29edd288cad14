package view

import (
	"encoding/binary"
	"iter"
	"time"

	"github.com/damrey/damrey/internal/report"
)

// record is one step of a route.
type record struct {
	step int64
	counts
	stay report.Histogram // on an exact tape
	at   percentiles
}

// tape keeps the steps of a route, packed: steps without traffic take no room and others some twenty bytes, or eighty with
// their histogram. Steps are appended in their order.
type tape struct {
	exact bool // it keeps histograms; else only percentiles
	data  []byte
	base  int64 // the step before the first that is kept
	last  int64
}

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
	d = binary.AppendUvarint(d, mask)
	for _, n := range r.counts {
		if n > 0 {
			d = binary.AppendUvarint(d, n)
		}
	}
	if t.exact {
		d = appendHistogram(d, r.stay)
	} else {
		for _, p := range r.at {
			d = binary.AppendUvarint(d, uint64(p/time.Microsecond))
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
	if exact {
		rec.stay = r.histogram()
		return rec
	}
	for i := range rec.at {
		rec.at[i] = time.Duration(r.uvarint()) * time.Microsecond
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
