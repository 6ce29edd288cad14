package view

import (
	"fmt"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// burst is that of many workers that each take messages of many types.
func (r *rig) burst(workers, types int) (all []*source) {
	for n := range workers {
		s := r.source(fmt.Sprintf("burst%d", n), "A")
		s.beat()
		for i := range types {
			s.handle("entry", fmt.Sprintf("t%d", i), 1, 0, time.Millisecond)
		}
		s.beat()
		all = append(all, s)
	}
	return all
}

func TestView_ADeclaredRouteHasASlot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.beat()
	r.burst(100, 100)
	r.pass(report.Every)
	s.handle("entry", "add", 10, 0, time.Millisecond)
	s.beat()
	if e := r.edge("entry", "add", "add"); e.Observed {
		t.Fatalf("the bound does not hold: %+v", e)
	}
	r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"}), row("add")))
	r.pass(report.Every)
	s.handle("entry", "add", 10, 0, time.Millisecond)
	s.beat()
	if e := r.edge("entry", "add", "add"); !e.Observed || e.Handled != 10 {
		t.Errorf("%+v", e)
	}
}

func TestView_RestingRoutesMakeRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	burst := r.burst(100, 100)
	there := burst[0]
	r.pass(report.Missed*report.Every + 2*time.Second)
	for range 4 { // who is there goes on without messages, the others are lost
		r.pass(report.Every)
		there.beat()
	}
	s := r.source("add", "A")
	s.beat()
	r.pass(report.Every)
	s.handle("entry", "new", 10, 0, time.Millisecond)
	s.beat()
	if e := r.edge("entry", "new", "add"); e.Handled != 10 {
		t.Errorf("%+v", e)
	}
	if e := r.edge("entry", "t7", "burst0"); !e.Observed {
		t.Error("a route of an instance that is there made room before those of lost ones")
	}
	var handled uint64
	for _, m := range r.Metrics(r.now).Routes {
		handled += m.Handled
	}
	if handled != 10_010 {
		t.Errorf("%d messages are counted", handled)
	}
}

func TestView_OneWorkerDoesNotTakeAllSlots(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 3 * maxOfWorker {
		if err := r.Undelivered(r.now, fmt.Sprintf("x→t%d→w", n), 1, "nobody"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.routes); n != maxOfWorker+1 {
		t.Errorf("%d routes", n)
	}
	if e := r.edge(report.Other, report.Other, "w"); e.Undelivered != 2*maxOfWorker {
		t.Errorf("%+v", e)
	}
	r.pass(window + 2*time.Second)
	if err := r.Undelivered(r.now, "x→late→w", 1, "nobody"); err != nil {
		t.Fatal(err)
	}
	if e := r.edge("x", "late", "w"); e.Undelivered != 1 {
		t.Errorf("those that rest made no room: %+v", e)
	}
}

func TestView_MetricsLeaveOutWhatNeverCarriedAnything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.In = []report.In{{From: "entry", Type: "never"}}
	s.beat()
	r.pass(report.Every)
	s.beat()
	if m := r.Metrics(r.now); len(m.Routes) != 0 {
		t.Errorf("%+v", m.Routes)
	}
}

func TestView_NotHeardOfYet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"}), row("add")))
	is := func(want api.Health) {
		t.Helper()
		n, e := r.node("add"), r.edge("entry", "add", "add")
		if n.Health != want || e.Health != want || n.Why == "" || e.Why == "" {
			t.Errorf("%v: %s (%s), %s (%s)", r.now.Run, n.Health, n.Why, e.Health, e.Why)
		}
	}
	r.pass(2 * report.Every)
	is(api.HealthUnknown)
	r.pass(report.Every)
	is(api.HealthFailing)
	if n := r.node("entry"); n.Health != api.HealthIdle {
		t.Errorf("one that only sends: %+v", n)
	}
	r.now.Run += time.Second
	r.Tick(r.now, false)
	is(api.HealthUnknown)
	s := r.source("add", "A")
	s.beat()
	if n := r.node("add"); n.Health != api.HealthIdle {
		t.Errorf("%+v", n)
	}
}

func TestView_RefusesABeatOfNoWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for worker, taken := range map[string]bool{"damrey-x": false, "a b": false, "add": true, report.AgentWorker: true, report.ProxyWorker: true} {
		b := r.source(worker, "i").Beat
		b.At = r.now.Wall
		if err := r.Hear(r.now, &b); (err == nil) != taken {
			t.Errorf("%s: %v", worker, err)
		}
	}
}

func TestView_SkewIsADayAtMost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, off := range []time.Duration{-200 * 365 * 24 * time.Hour, 200 * 365 * 24 * time.Hour} {
		b := r.source("add", "A").Beat
		b.At, b.Started = r.now.Wall.Add(off), r.now.Wall.Add(off)
		if err := r.Hear(r.now, &b); err != nil {
			t.Fatal(err)
		}
		if list := r.Instances(r.now).Instances; max(list[0].Skew, -list[0].Skew) != maxSkew.Seconds() {
			t.Errorf("%v: %v", off, list[0].Skew)
		}
	}
}
