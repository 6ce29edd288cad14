package view

import (
	"fmt"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

// handled of each route in metrics, and of the others.
func (r *rig) handled() (named map[Key]uint64, other uint64) {
	named = make(map[Key]uint64)
	for _, m := range r.Metrics(r.now).Routes {
		if m.To == "other" {
			other += m.Handled
			continue
		}
		named[m.Key] = m.Handled
	}
	return named, other
}

// crowd has 12 workers with 100 types each, more than have labels. Those of the first eight are busier.
func (r *rig) crowd() []*source {
	all := make([]*source, 12)
	for n := range all {
		all[n] = r.source(fmt.Sprintf("w%d", n), "A")
		all[n].beat()
		for i := range 100 {
			all[n].handle("entry", fmt.Sprintf("t%d", i), uint64(1+(11-n)/4), 0, time.Millisecond)
		}
		all[n].beat()
	}
	return all
}

func TestMetrics_LabelsStay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	all := r.crowd()
	before, other := r.handled()
	if len(before) != maxUndeclaredLabels || other != 400 {
		t.Fatalf("%d routes have labels, the others handled %d", len(before), other)
	}
	r.pass(report.Every)
	for _, s := range all[8:] { // the quiet ones become the busiest
		for i := range 100 {
			s.handle("entry", fmt.Sprintf("t%d", i), 50, 0, time.Millisecond)
		}
		s.beat()
	}
	after, other := r.handled()
	for key, n := range before {
		if after[key] != n {
			t.Fatalf("%s: %d, then %d", key, n, after[key])
		}
	}
	if len(after) != len(before) || other != 400+400*50 {
		t.Errorf("%d routes have labels, the others handled %d", len(after), other)
	}
}

// leap lets time pass in which nobody looks.
func (r *rig) leap(d time.Duration) {
	r.now.Run, r.now.Wall = r.now.Run+d, r.now.Wall.Add(d)
	r.pass(silence + 2*time.Second)
}

func TestMetrics_ForgottenRoutesLeaveTheirLabelsAndTheirCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.crowd()
	r.handled()
	for _, d := range []time.Duration{time.Minute, remember, 25 * time.Hour} { // lost, forgotten, and its routes too
		r.leap(d)
	}
	if named, other := r.handled(); len(named) != 0 || other != 400 {
		t.Fatalf("%d routes have labels, the others handled %d", len(named), other)
	}
	late := r.source("w11", "B")
	late.beat()
	late.handle("entry", "t0", 3, 0, time.Millisecond)
	late.beat()
	if named, other := r.handled(); len(named) != 1 || named[Key{"entry", "t0", "w11"}] != 3 || other != 400 {
		t.Errorf("%v, the others handled %d", named, other)
	}
}

func commands(n int) (all []damrey.Command) {
	for i := range n {
		all = append(all, damrey.Command{Name: fmt.Sprintf("c%d", i), Worker: "add", Delivery: damrey.Durable})
	}
	return all
}

func TestMetrics_RoutesOfTheTableBeginAtNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.crowd()
	r.SetTable(table(row("entry", append(commands(100), damrey.Command{Name: "*", Worker: "add"})...), row("add")))
	if m := r.Metrics(r.now); len(m.Dead) != 0 {
		t.Errorf("dead letters are told before they are known: %v", m.Dead)
	}
	named, _ := r.handled()
	if n, ok := named[Key{"entry", "c7", "add"}]; !ok || n != 0 || len(named) != 900 {
		t.Errorf("%d routes have labels", len(named))
	}
	if err := r.Undelivered(r.now, "entry→c7→add", 5, "nobody"); err != nil {
		t.Fatal(err)
	}
	r.SetStores(r.now, nil, nil)
	m := r.Metrics(r.now)
	for _, route := range m.Routes {
		if want := uint64(0); route.To == "add" {
			if route.Type == "c7" {
				want = 5
			}
			if route.Undelivered != want {
				t.Errorf("%+v", route)
			}
		}
	}
	if n, ok := m.Dead[Key{"entry", "c7", "add"}]; !ok || n != 0 || len(m.Dead) != 100 {
		t.Errorf("%d of %v", n, m.Dead)
	}
}

func TestMetrics_LargeTableTakesNoLabelsInAdvance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("entry", commands(maxLabels+1)...), row("add")))
	if err := r.Undelivered(r.now, "entry→c7→add", 5, "nobody"); err != nil {
		t.Fatal(err)
	}
	if named, _ := r.handled(); len(named) != 1 {
		t.Errorf("%d routes have labels", len(named))
	}
	for i := range maxLabels + 1 {
		if err := r.Undelivered(r.now, fmt.Sprintf("entry→c%d→add", i), 1, "nobody"); err != nil {
			t.Fatal(err)
		}
	}
	if m := r.Metrics(r.now); m.Others != 1 {
		t.Errorf("%d routes are said to be counted together", m.Others)
	}
}

func TestMetrics_DeadLettersKeepTheirLabels(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dead := func(to string, routes int, each uint64) map[Key]uint64 {
		all := make(map[Key]uint64)
		for i := range routes {
			all[Key{"x", fmt.Sprintf("t%d", i), to}] = each
		}
		return all
	}
	told := func(of ...map[Key]uint64) map[Key]uint64 {
		all := make(map[Key]uint64)
		for _, m := range of {
			for k, n := range m {
				all[k] = n
			}
		}
		r.SetStores(r.now, nil, all)
		return r.Metrics(r.now).Dead
	}
	other, some := Key{"other", "other", "other"}, Key{"x", "t0", "a"}
	if m := told(dead("a", 500, 2)); len(m) != 500 || m[some] != 2 {
		t.Errorf("%d routes", len(m))
	}
	if m := told(dead("a", 500, 2), dead("b", 400, 9)); len(m) != maxUndeclaredLabels+1 || m[some] != 2 || m[other] != 900 {
		t.Errorf("%d routes, %v, %v", len(m), m[some], m[other])
	}
	if m := told(dead("b", 400, 9)); m[other] != 900 {
		t.Errorf("what was counted with others has a label now: %v", m[other])
	}
	if m := told(dead("b", 400, 9), dead("c", 10, 1)); len(m) != 311 || m[Key{"x", "t0", "c"}] != 1 {
		t.Errorf("%d routes: those without letters left no room", len(m))
	}
	few := newRig(t)
	few.SetStores(few.now, nil, dead("a", 1, 2))
	few.Metrics(few.now)
	few.SetStores(few.now, nil, nil)
	if n, ok := few.Metrics(few.now).Dead[some]; !ok || n != 0 {
		t.Error("a route whose letters are gone is not told at 0")
	}
}

func TestMetrics_WorkersWithoutAnInstance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	paused := row("paused")
	paused.Paused = true
	r.SetTable(table(paused, row("add"), row("never"), row("entry",
		damrey.Command{Name: "a", Worker: "add"}, damrey.Command{Name: "n", Worker: "never"}, damrey.Command{Name: "p", Worker: "paused"})))
	for _, id := range []string{"A", "B", "C"} {
		s := r.source("add", id)
		if id == "C" {
			s.State = report.Waiting
		}
		s.beat()
	}
	r.source("stranger", "A").beat()
	is := func(want map[string]Readiness) {
		t.Helper()
		got := r.Metrics(r.now).Workers
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v", got)
		}
	}
	is(map[string]Readiness{"add": {2, true}, "never": {0, true}, "paused": {}, "entry": {}})
	r.leap(time.Minute)
	r.leap(remember)
	is(map[string]Readiness{"add": {0, true}, "never": {0, true}, "paused": {}, "entry": {}})
	r.SetTable(table(row("never")))
	is(map[string]Readiness{"never": {}})
}
