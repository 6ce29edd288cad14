package view

import (
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// ofInstances are the series of a worker's instances, or of one.
func (r *rig) ofInstances(worker, id string, from time.Duration) []api.Series {
	return r.Stats(r.now, Query{From: r.now.Wall.Add(from), To: r.now.Wall, Worker: worker, Instance: id}).Series
}

func TestPast_EachInstanceHasItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.source("add", "A"), r.source("add", "B")
	a.beat()
	b.beat()
	for range 12 {
		r.pass(report.Every)
		a.handle("entry", "add", 50, 5, 20*time.Millisecond)
		a.handle("shop", "sum", 50, 0, 20*time.Millisecond)
		a.In[0].Timeouts, a.In[0].Busy = a.In[0].Timeouts+2, a.In[0].Busy+1
		a.InFlight, a.Queued = 7, 3
		a.beat()
		b.handle("entry", "add", 10, 0, time.Millisecond)
		b.Out = []report.Out{{Type: "on", To: "square", Sent: 1000, Timeouts: 500, Stopped: 500}}
		b.beat()
	}
	all := r.ofInstances("add", "", -15*time.Minute)
	if len(all) != 2 || all[0].Instance != "A" || all[1].Instance != "B" || all[0].To != "add" || all[0].From != "*" || all[0].Type != "*" {
		t.Fatalf("%+v", all)
	}
	var sum api.Flow
	for n, p := range all[0].Points {
		sum.Handled, sum.Failed, sum.Timeouts, sum.Busy = sum.Handled+p.Handled, sum.Failed+p.Failed, sum.Timeouts+p.Timeouts, sum.Busy+p.Busy
		if p.InFlight == nil || *p.InFlight != 7 || *p.Queued != 3 || p.Wait != nil || p.Work != nil {
			t.Errorf("point %d: %+v", n, p)
		}
		if p.Handled > 0 && (p.Rate != 20 || p.P50 < 18 || p.P99 > 23) {
			t.Errorf("point %d: %+v", n, p)
		}
	}
	if sum.Handled != 1200 || sum.Failed != 60 || sum.Timeouts != 24 || sum.Busy != 12 {
		t.Errorf("all points of A: %+v", sum)
	}
	for n, p := range all[1].Points {
		if p.Handled > 10 || p.Timeouts+p.Undelivered > 0 || *p.InFlight != 0 || p.P99 > 1.2 {
			t.Errorf("point %d of B, which fails at nothing that comes to it: %+v", n, p)
		}
	}
	if one := r.ofInstances("add", "B", -time.Minute); len(one) != 1 || one[0].Instance != "B" {
		t.Errorf("B alone: %+v", one)
	}
	if none := r.ofInstances("add", "C", -time.Minute); none == nil || len(none) != 0 {
		t.Errorf("C, which there is not: %+v", none)
	}
}

// One that takes nothing more but still has something in hand is to be seen so.
func TestPast_HandlersThatHang(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.beat()
	for range 6 {
		r.pass(report.Every)
		s.beat()
	}
	if points := r.ofInstances("add", "A", -15*time.Minute)[0].Points; len(points) != 0 {
		t.Errorf("an idle one has %+v", points)
	}
	s.InFlight = 100
	s.beat()
	for range 2 { // a beat comes late, and there is a step without any
		r.pass(2 * report.Every)
		s.beat()
	}
	points := r.ofInstances("add", "A", -15*time.Minute)[0].Points
	if len(points) != 5 {
		t.Errorf("%+v", points)
	}
	for _, p := range points {
		if *p.InFlight != 100 || p.Handled != 0 {
			t.Errorf("%+v", p)
		}
	}
}

func TestPast_IsOfFifteenMinutesAndOutlivesTheInstance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.beat()
	for range 20 * 12 {
		r.pass(report.Every)
		s.handle("entry", "add", 10, 0, time.Millisecond)
		s.beat()
	}
	answer := r.Stats(r.now, Query{From: r.now.Wall.Add(-time.Hour), To: r.now.Wall, Worker: "add", Instance: "A"})
	if n := len(answer.Series[0].Points); answer.Step != 5 || n < 180 || n > 182 || answer.From.Before(r.now.Wall.Add(-fineTime-fineStep)) {
		t.Errorf("%d points of %v s from %v", n, answer.Step, answer.From)
	}
	kept := 0
	for range r.instances[instanceKey{"add", "A"}].past.tape.steps() {
		kept++
	}
	if kept > 182 {
		t.Errorf("%d steps are kept", kept)
	}
	r.pass(10 * time.Minute)
	if all := r.ofInstances("add", "A", -fineTime); len(all) != 1 || len(all[0].Points) < 55 || len(all[0].Points) > 62 {
		t.Errorf("10 minutes after it was lost: %+v", all)
	}
	r.pass(6 * time.Minute)
	if all := r.ofInstances("add", "A", -fineTime); len(all) != 0 {
		t.Errorf("after it was forgotten: %+v", all)
	}
}

// Whenever the beats come, each message is counted once, also over a start anew.
func TestPast_CountsEverythingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "now"))
		p := newPast()
		var want, got counts
		var over spell
		for range rapid.IntRange(1, 8).Draw(t, "beats") {
			before := max(0, now-time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "overlap")))
			now += time.Duration(rapid.Int64Range(1, int64(30*time.Second)).Draw(t, "time"))
			c := counts{handled: rapid.Uint64Range(0, 9).Draw(t, "handled"), sent: 7}
			c[failed] = rapid.Uint64Range(0, c[handled]).Draw(t, "failed")
			over.set(before, now)
			p.add(now, &over, &c, report.Histogram{{Bucket: 3, N: 1}}, load{})
			c[sent] = 0
			want.add(&c)
		}
		p.pack()
		last := int64(-1)
		for rec := range p.tape.steps() {
			if rec.step <= last {
				t.Fatalf("step %d after %d", rec.step, last)
			}
			last = rec.step
			got.add(&rec.counts)
		}
		if got != want {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// What 5,000 instances take is said in ARCHITECTURE.md.
func TestPast_MemoryOfABusyInstance(t *testing.T) {
	all := make([]past, 200)
	for i := range all {
		all[i] = newPast()
	}
	hist := report.Histogram{}
	for b := 40; b < 80; b++ {
		hist = append(hist, report.Count{Bucket: b, N: 25})
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for now := report.Every; now < time.Hour; now += report.Every {
		for i := range all {
			var over spell
			over.set(now-report.Every, now-time.Millisecond)
			all[i].add(now-time.Millisecond, &over, &counts{handled: 500, failed: 3, expired: 2, busy: 1}, hist, load{100, 1000})
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / int64(len(all))
	t.Logf("the past of an instance takes %d bytes", each)
	if each > 6000 {
		t.Errorf("%d bytes an instance", each)
	}
	runtime.KeepAlive(all)
}
