package view

import (
	"time"

	"github.com/damrey/damrey/internal/report"
)

const (
	fineStep   = 5 * time.Second
	fineTime   = 15 * time.Minute
	coarseStep = time.Minute
	coarseTime = 24 * time.Hour
	// open is how many fine steps are kept unpacked: those of the window, and the one that goes on.
	open = int64(window/fineStep) + 1
	// openMinutes are this one and the one before, of which beats still tell.
	openMinutes = 2
	// window is what rates and percentiles of now are of.
	window = 15 * time.Second
)

// Key is a route.
type Key struct{ From, Type, To string }

// String is how a route is written everywhere.
func (k Key) String() string { return k.From + "→" + k.Type + "→" + k.To }

// otherKey takes what is beyond the bounds.
var otherKey = Key{report.Other, report.Other, report.Other}

// step is what is being counted.
type step struct {
	n    int64
	used bool
	counts
	stay sum
}

// take adds what came.
func (s *step) take(c *counts, stay report.Histogram) {
	s.counts.add(c)
	s.stay.add(stay)
}

// record is the step with its histogram in some room.
func (s *step) record(room report.Histogram) record {
	stay := s.stay.histogram(room)
	return record{step: s.n, counts: s.counts, stay: stay, at: percentilesOf(stay)}
}

// begin makes it another step. Its room is used again.
func (s *step) begin(n int64, used bool) {
	s.stay.reset()
	*s = step{n: n, used: used, stay: s.stay}
}

// route is what is known of one.
type route struct {
	key Key
	// declared says that it is in the table, dropped that it is forgotten.
	declared, dropped bool

	total  tally
	recent [open]step // by step modulo open
	minute [openMinutes]step
	fine   tape
	coarse tape
	rolled int64 // the fine step up to which that was done

	traffic  time.Duration // when there was some; negative: never
	touched  time.Duration // when it was last told how many are stored
	failures failures
	missed   time.Duration // when it was told that nobody took messages of it; negative: never
	why      string        // they were not taken
	rate     float64       // by the last answer that needed it
}

func newRoute(key Key) *route {
	return &route{key: key, fine: tape{exact: true}, traffic: -1, missed: -1}
}

// add counts what came in a spell that ends now.
func (r *route) add(now time.Duration, over *spell, c *counts, stay report.Histogram) {
	r.roll(now)
	r.total.count(c, stay)
	over.over(over.fine, r.fineStep, c, stay)
	over.over(over.minutes, r.minuteStep, c, stay)
	if c.traffic() {
		r.traffic = now
	}
}

// store notes how many messages are stored now.
func (r *route) store(now time.Duration, n uint64) {
	r.roll(now)
	r.touched = now
	r.fineStep(int64(now / fineStep)).counts[stored] = n
	r.minuteStep(int64(now / coarseStep)).counts[stored] = n
}

func (r *route) fineStep(n int64) *step { return stepOf(r.recent[:], n) }

func (r *route) minuteStep(n int64) *step { return stepOf(r.minute[:], n) }

// stepOf is one of the open steps.
func stepOf(steps []step, n int64) *step {
	s := &steps[n%int64(len(steps))]
	if !s.used {
		s.begin(n, true)
	}
	return s
}

// roll packs the steps that are over.
func (r *route) roll(now time.Duration) {
	n := int64(now / fineStep)
	if n == r.rolled { // no minute ends within a fine step
		return
	}
	r.rolled = n
	pack(&r.fine, r.recent[:], n)
	pack(&r.coarse, r.minute[:], int64(now/coarseStep))
}

// pack puts on a tape what is no longer open at a step.
func pack(t *tape, steps []step, now int64) {
	upTo := now - int64(len(steps))
	for s := oldest(steps, upTo); s != nil; s = oldest(steps, upTo) {
		var room [report.Buckets]report.Count
		r := s.record(room[:0])
		t.append(&r)
		s.begin(0, false)
	}
}

// oldest is the first of some steps up to one; nil without.
func oldest(steps []step, upTo int64) (first *step) {
	for i := range steps {
		if s := &steps[i]; s.used && s.n <= upTo && (first == nil || s.n < first.n) {
			first = s
		}
	}
	return first
}

// trim forgets what is too old.
func (r *route) trim(now time.Duration) {
	r.fine.trim(int64((now - fineTime) / fineStep))
	r.coarse.trim(int64((now - coarseTime) / coarseStep))
}

// now is what came within the window.
func (r *route) now(now time.Duration, stay *sum) (c counts) {
	n := int64(now / fineStep)
	for i := range r.recent {
		if s := &r.recent[i]; s.used && s.n > n-open {
			c.add(&s.counts)
			stay.plus(&s.stay)
		}
	}
	return c
}

// idle says that it may be forgotten.
func (r *route) idle(now time.Duration) bool {
	return now-max(r.traffic, r.missed, r.touched) > coarseTime
}
