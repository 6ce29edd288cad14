package alarm

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/damrey/damrey/internal/api"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is simulated time with one worker that is there or not.
type world struct {
	t       testing.TB
	machine *Machine
	book    Book
	now     time.Time
	changes []Change
}

func newWorld(t testing.TB, asked ...api.AlarmRuleChange) *world {
	t.Helper()
	w := &world{t: t, machine: NewMachine(nil), book: Standard(), now: begin}
	for _, a := range asked {
		rule, err := Parse(a)
		if err != nil {
			t.Fatal(err)
		}
		w.book = w.book.With(rule)
	}
	return w
}

// facts in which worker w has so many instances that are ready.
func (w *world) facts(ready int) Facts {
	return Facts{
		At: w.now, Since: w.now.Add(-time.Hour), Window: 15,
		Nodes: []api.Node{{Name: "w", Registered: true, Ready: ready, Instances: ready}},
		Edges: []api.Edge{{From: "src", Type: "t", To: "w", Observed: true}},
	}
}

// run is so long in steps of a second.
func (w *world) run(d time.Duration, facts func() Facts) {
	for ; d > 0; d -= time.Second {
		w.now = w.now.Add(time.Second)
		w.step(time.Second, facts())
	}
}

func (w *world) step(elapsed time.Duration, f Facts) {
	w.changes = append(w.changes, w.machine.Step(w.now, elapsed, w.book, f)...)
}

func (w *world) gone() Facts  { return w.facts(0) }
func (w *world) there() Facts { return w.facts(1) }

// What fires on since it might flap says that it is not true, since when, and takes that back.
func TestMachine_SaysThatWhatFiresIsNotTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cleared := func() *time.Time { e, _ := w.machine.Entry("no_instance:w"); return e.Alarm.Cleared }
	w.run(20*time.Second, w.gone)
	if w.state() != api.AlarmFiring || cleared() != nil {
		t.Fatalf("%s, not true since %v", w.state(), cleared())
	}
	w.machine.TakeDirty()
	back := w.now.Add(time.Second)
	w.run(10*time.Second, w.there)
	if since := cleared(); w.state() != api.AlarmFiring || since == nil || !since.Equal(back) || len(w.machine.TakeDirty()) != 1 {
		t.Fatalf("%s, not true since %v, want %v", w.state(), since, back)
	}
	w.run(time.Second, w.gone)
	if w.state() != api.AlarmFiring || cleared() != nil || len(w.machine.TakeDirty()) != 1 {
		t.Fatalf("%s, not true since %v", w.state(), cleared())
	}
	w.run(40*time.Second, w.there)
	if w.state() != api.AlarmResolved || cleared() != nil {
		t.Errorf("%s, not true since %v", w.state(), cleared())
	}
}

// count of the changes to a state.
func (w *world) count(to api.AlarmState) (n int) {
	for _, c := range w.changes {
		if c.Alarm.State == to {
			n++
		}
	}
	return n
}

func (w *world) state() api.AlarmState {
	e, ok := w.machine.Entry("no_instance:w")
	if !ok {
		return ""
	}
	return e.Alarm.State
}

func TestMachine_GoesThroughTheStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		what  string
		after time.Duration
		facts func() Facts
		want  api.AlarmState
	}{
		{"well", 5 * time.Second, w.there, ""},
		{"gone, but not for long enough", 15 * time.Second, w.gone, api.AlarmPending},
		{"gone for long enough", time.Second, w.gone, api.AlarmFiring},
		{"there, but not for long enough", 29 * time.Second, w.there, api.AlarmFiring},
		{"there for long enough", time.Second, w.there, api.AlarmResolved},
		{"gone again", time.Second, w.gone, api.AlarmPending},
		{"and there at once", time.Second, w.there, api.AlarmResolved},
	} {
		w.run(c.after, c.facts)
		if got := w.state(); got != c.want {
			t.Fatalf("%s: %q, not %q", c.what, got, c.want)
		}
	}
	fired := w.changes[1].Alarm
	if fired.ID != "no_instance:w" || fired.Severity != Critical || fired.Worker != "w" || fired.Count != 1 ||
		fired.Text != "worker w: routes lead to it, and it has no instance" || fired.Do != "damrey worker run w -- COMMAND" || fired.Fired == nil {
		t.Errorf("%+v", fired)
	}
	w.run(25*time.Hour, w.there)
	if got := w.state(); got != "" {
		t.Errorf("%q after a day", got)
	}
}

// An alarm about a disk of which nothing is known stays as it was, while others of the rule come and go.
func TestMachine_DiskOfWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	disks := func(partly bool, b ...Disk) func() Facts {
		return func() Facts {
			return Facts{At: w.now, Disks: append([]Disk{{Name: "a", Used: 1, Total: 100}}, b...), DisksPartly: partly}
		}
	}
	full := Disk{Name: "b", Used: 99, Total: 100}
	silent := full
	silent.Unknown = true
	for _, c := range []struct {
		what  string
		facts func() Facts
		want  api.AlarmState
	}{
		{"one that was full and fell silent before anybody looked", disks(false, silent), ""},
		{"full", disks(false, full), api.AlarmFiring},
		{"it fell silent", disks(false, silent), api.AlarmFiring},
		{"no other disk could be read", disks(true), api.AlarmFiring},
		{"it is gone", disks(false), api.AlarmResolved},
	} {
		w.run(5*time.Minute, c.facts)
		if e, _ := w.machine.Entry("disk:b"); e.Alarm.State != c.want {
			t.Errorf("%s: %q, not %q", c.what, e.Alarm.State, c.want)
		}
	}
	if e, there := w.machine.Entry("disk:a"); there {
		t.Errorf("%+v", e)
	}
}

func TestMachine_CountsFiringsOfADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.run(time.Minute, w.gone)
		w.run(time.Minute, w.there)
	}
	e, _ := w.machine.Entry("no_instance:w")
	if e.Alarm.Count != 3 || w.count(api.AlarmFiring) != 3 || w.count(api.AlarmResolved) != 3 {
		t.Errorf("count %d, changes %d and %d", e.Alarm.Count, w.count(api.AlarmFiring), w.count(api.AlarmResolved))
	}
}

// However a condition flaps, two firings are as far apart as it must be gone to be resolved and there to fire.
func TestMachine_FlappingFiresOncePerHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		hold := rapid.IntRange(0, 30).Draw(rt, "for")
		keep := rapid.IntRange(1, 60).Draw(rt, "keep")
		w := newWorld(t, api.AlarmRuleChange{Name: "no_instance", For: fmt.Sprint(hold, "s"), Keep: fmt.Sprint(keep, "s")})
		total := 0
		for range rapid.IntRange(1, 60).Draw(rt, "flaps") {
			bad, good := rapid.IntRange(0, 20).Draw(rt, "bad"), rapid.IntRange(0, 40).Draw(rt, "good")
			w.run(time.Duration(bad)*time.Second, w.gone)
			w.run(time.Duration(good)*time.Second, w.there)
			total += bad + good
		}
		if fired, most := w.count(api.AlarmFiring), 1+total/(hold+keep); fired > most {
			rt.Errorf("fired %d times in %d s with for %d s and keep %d s", fired, total, hold, keep)
		}
		var last *time.Time
		for _, c := range w.changes {
			if c.Alarm.State != api.AlarmFiring {
				continue
			}
			if last != nil && c.Alarm.Fired.Sub(*last) < time.Duration(hold+keep)*time.Second {
				rt.Errorf("fired at %v and %v", *last, *c.Alarm.Fired)
			}
			last = c.Alarm.Fired
		}
	})
}

func TestMachine_FastFlappingRaisesOneAlarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, api.AlarmRuleChange{Name: "no_instance", For: "0s"})
	for range 50 {
		w.run(5*time.Second, w.gone)
		w.run(10*time.Second, w.there)
	}
	if n := w.count(api.AlarmFiring); n != 1 {
		t.Errorf("fired %d times", n)
	}
}

func TestMachine_AClockThatJumpsChangesNothing(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 20 * time.Second, -20 * time.Second, 400 * 24 * time.Hour} {
		w := newWorld(t)
		w.run(5*time.Second, w.gone)
		w.now = w.now.Add(jump)
		w.step(jump, w.gone())
		if got := w.state(); got != api.AlarmPending {
			t.Errorf("jump of %v: %q after 5 s", jump, got)
		}
		w.run(20*time.Second, w.gone)
		if got := w.state(); got != api.AlarmFiring {
			t.Fatalf("jump of %v: %q", jump, got)
		}
		w.run(5*time.Second, w.there)
		w.now = w.now.Add(jump)
		w.step(jump, w.there())
		if got := w.state(); got != api.AlarmFiring {
			t.Errorf("jump of %v: %q after 5 s of 30", jump, got)
		}
		if n := w.count(api.AlarmFiring); n != 1 {
			t.Errorf("jump of %v: fired %d times", jump, n)
		}
	}
}

func TestMachine_GoesOnElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(20*time.Second, w.gone)
	w.machine.SetTold("no_instance:w", true)
	before := w.machine.Entries()
	w.machine = NewMachine(before)
	w.run(20*time.Second, w.gone)
	if n := w.count(api.AlarmFiring); n != 1 {
		t.Errorf("fired %d times", n)
	}
	if e, _ := w.machine.Entry("no_instance:w"); !e.Told || e.Alarm.State != api.AlarmFiring {
		t.Errorf("%+v", e)
	}
	w.machine = NewMachine(w.machine.Entries())
	w.run(31*time.Second, w.there)
	if w.count(api.AlarmResolved) != 1 {
		t.Error("not resolved elsewhere")
	}
}

// What cannot be judged neither fires nor is resolved.
func TestMachine_UnknownStaysAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nothing := func() Facts { return Facts{At: w.now} }
	early := func() Facts { f := w.gone(); f.Since = w.now.Add(-5 * time.Second); return f }
	w.run(time.Hour, nothing)
	w.run(time.Minute, early)
	if len(w.changes) != 0 {
		t.Fatalf("%+v", w.changes)
	}
	w.run(20*time.Second, w.gone)
	w.run(time.Hour, nothing)
	if got := w.state(); got != api.AlarmFiring {
		t.Errorf("%q", got)
	}
	off := false
	rule, err := Parse(api.AlarmRuleChange{Name: "no_instance", Enabled: &off})
	if err != nil {
		t.Fatal(err)
	}
	w.book = w.book.With(rule)
	w.run(time.Second, nothing)
	if got := w.state(); got != api.AlarmResolved {
		t.Errorf("%q with the rule switched off", got)
	}
}

func TestMachine_ManyOfOneRuleAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, api.AlarmRuleChange{Name: "no_instance", For: "0s"})
	many := func() Facts {
		f := w.there()
		for i := range 1000 {
			f.Nodes = append(f.Nodes, api.Node{Name: fmt.Sprintf("w%03d", i), Registered: true})
			f.Edges = append(f.Edges, api.Edge{From: "src", Type: "t", To: fmt.Sprintf("w%03d", i)})
		}
		rand.Shuffle(len(f.Nodes), func(i, j int) { f.Nodes[i], f.Nodes[j] = f.Nodes[j], f.Nodes[i] })
		return f
	}
	w.run(time.Minute, many)
	if n := w.count(api.AlarmFiring); n != maxOfRule+1 {
		t.Errorf("%d fired", n)
	}
	e, ok := w.machine.Entry("no_instance:others")
	if !ok || !strings.Contains(e.Alarm.Text, "800 more") {
		t.Errorf("%+v", e)
	}
	w.run(time.Minute, w.there)
	if n := w.count(api.AlarmResolved); n != maxOfRule+1 {
		t.Errorf("%d resolved", n)
	}
}

func TestMachine_SaysWhatIsToBeStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(time.Second, w.gone)
	if ids := w.machine.TakeDirty(); len(ids) != 1 || ids[0] != "no_instance:w" {
		t.Errorf("%v", ids)
	}
	w.run(5*time.Second, w.gone)
	if ids := w.machine.TakeDirty(); len(ids) != 0 {
		t.Errorf("%v though nothing changed", ids)
	}
	w.run(time.Second, w.there)
	if ids := w.machine.TakeDirty(); len(ids) != 1 {
		t.Errorf("%v: it is gone", ids)
	}
}

func TestSort_PutsTheFiringOnesFirst(t *testing.T) {
	t.Parallel()
	alarms := []api.Alarm{
		{ID: "a", State: api.AlarmResolved, Since: begin.Add(time.Hour)},
		{ID: "b", State: api.AlarmFiring, Severity: Info, Since: begin},
		{ID: "c", State: api.AlarmPending, Severity: Info, Since: begin},
		{ID: "d", State: api.AlarmFiring, Severity: Info, Since: begin.Add(time.Minute)},
		{ID: "e", State: api.AlarmFiring, Severity: Warning, Since: begin.Add(time.Minute)},
		{ID: "f", State: api.AlarmFiring, Severity: Critical, Since: begin.Add(-time.Minute)},
		{ID: "g", State: api.AlarmPending, Severity: Critical, Since: begin.Add(-time.Minute)},
	}
	Sort(alarms)
	var ids string
	for _, a := range alarms {
		ids += a.ID
	}
	if ids != "fedbgca" {
		t.Error(ids)
	}
}

func TestHushes_IsOfRuleAndWorkerUntilItEnds(t *testing.T) {
	t.Parallel()
	a := api.Alarm{Rule: "errors", Worker: "w"}
	for _, c := range []struct {
		s    api.Silence
		want bool
	}{
		{api.Silence{Until: begin.Add(time.Second)}, true},
		{api.Silence{Until: begin}, false},
		{api.Silence{Until: begin.Add(time.Second), Rule: "errors"}, true},
		{api.Silence{Until: begin.Add(time.Second), Rule: "busy"}, false},
		{api.Silence{Until: begin.Add(time.Second), Rule: "errors", Worker: "w"}, true},
		{api.Silence{Until: begin.Add(time.Second), Rule: "errors", Worker: "v"}, false},
	} {
		if Hushes(c.s, a, begin) != c.want {
			t.Errorf("%+v", c.s)
		}
	}
}
