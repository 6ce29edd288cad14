package view

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/damrey/damrey/internal/report"
)

// Beats come four to six seconds apart, and steps are of five: what is steady is to be seen as steady.
func TestView_JitteredBeatsMakeNoHolesNorDoubles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.beat()
	random := rand.New(rand.NewPCG(1, 2))
	const every = 250 * time.Millisecond // a message
	wait := time.Duration(0)
	for n := range 10 * 60 * 4 {
		r.now.Run, r.now.Wall = r.now.Run+every, r.now.Wall.Add(every)
		s.handle("entry", "add", 1, 0, time.Duration(1+n%20)*time.Millisecond)
		if wait -= every; wait <= 0 {
			s.beat()
			r.Tick(r.now, true)
			wait = time.Duration(16+random.IntN(9)) * every
		}
	}
	s.beat()
	for step, from := range map[float64]time.Duration{5: -10 * time.Minute, 60: -time.Hour} {
		q := Query{From: r.now.Wall.Add(from), To: r.now.Wall, Route: &Key{"entry", "add", "add"}}
		points := r.Stats(r.now, q).Series[0].Points
		var handled uint64
		for i, p := range points {
			handled += p.Handled
			at := r.now.Wall.Sub(p.At) - time.Duration(step)*time.Second
			if p.Unfinished != (at < 6*time.Second) {
				t.Errorf("%v s before now: %+v", at, p)
			}
			if !p.Unfinished && (p.Rate < 3.5 || p.Rate > 4.5 || p.P50 < 8 || p.P50 > 13 || p.P99 < 17) {
				t.Errorf("point %d of %v s: %+v", i, step, p)
			}
		}
		if handled != 10*60*4 {
			t.Errorf("%d messages in steps of %v s", handled, step)
		}
	}
}

// Whenever the beats come, each message is counted once.
func TestSpell_CountsEverythingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "now"))
		r := newRoute(Key{"a", "b", "c"})
		var want counts
		var stay report.Histogram
		var over spell
		for range rapid.IntRange(1, 8).Draw(t, "beats") {
			before := now
			now += time.Duration(rapid.Int64Range(1, int64(30*time.Second)).Draw(t, "time"))
			c := counts{worked: rapid.Uint64Range(0, 1<<60).Draw(t, "worked"), handled: rapid.Uint64Range(0, 9).Draw(t, "handled")}
			c[failed] = rapid.Uint64Range(0, c[handled]).Draw(t, "failed")
			h := report.Histogram{{Bucket: 3, N: rapid.Uint64Range(1, 5).Draw(t, "short")}, {Bucket: 7, N: rapid.Uint64Range(1, 5).Draw(t, "long")}}
			over.set(before, now)
			r.add(now, &over, &c, h)
			want.add(&c)
			stay = stay.Plus(h)
		}
		for _, at := range []time.Duration{now + fineTime/2, now + coarseTime/2} { // all are packed
			r.roll(at)
		}
		var got, minutes counts
		var packed report.Histogram
		last := int64(-1)
		for rec := range r.fine.steps() {
			if rec.step <= last || rec.counts[failed] > rec.counts[handled] {
				t.Fatalf("step %d after %d: %v", rec.step, last, rec.counts)
			}
			last = rec.step
			got.add(&rec.counts)
			packed = packed.Plus(rec.stay)
		}
		for rec := range r.coarse.steps() {
			minutes.add(&rec.counts)
		}
		if got != want || packed.Total() != stay.Total() || packed.Quantile(0.5) != stay.Quantile(0.5) || minutes[handled] != want[handled] {
			t.Fatalf("%v and %v and %v, want %v and %v", got, minutes, packed, want, stay)
		}
	})
}
