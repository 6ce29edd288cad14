package view

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// rig is a view in simulated time.
type rig struct {
	*View
	t   *testing.T
	now Instant
}

func newRig(t *testing.T) *rig {
	now := Instant{Wall: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)}
	return &rig{View: New(now, "run"), t: t, now: now}
}

// pass lets time pass, second by second.
func (r *rig) pass(d time.Duration) {
	for end := r.now.Run + d; r.now.Run < end; {
		step := min(time.Second, end-r.now.Run)
		r.now.Run += step
		r.now.Wall = r.now.Wall.Add(step)
		r.Tick(r.now, true)
	}
}

// source is an instance that beats.
type source struct {
	r *rig
	report.Beat
	stay map[Key]*report.Live
	skew time.Duration // of its clock
}

func (r *rig) source(worker, id string) *source {
	return &source{r: r, stay: make(map[Key]*report.Live), Beat: report.Beat{
		Worker: worker, Instance: id, State: report.Ready, Host: "machine-1", Started: r.now.Wall,
	}}
}

func (s *source) beat() {
	s.r.t.Helper()
	s.At = s.r.now.Wall.Add(s.skew)
	b := s.Beat
	b.In, b.Out = slices.Clone(s.In), slices.Clone(s.Out)
	if err := s.r.Hear(s.r.now, &b); err != nil {
		s.r.t.Fatal(err)
	}
}

func (s *source) handle(from, typ string, n, failed uint64, stay time.Duration) {
	key := Key{from, typ, s.Worker}
	i := slices.IndexFunc(s.In, func(in report.In) bool { return in.From == from && in.Type == typ })
	if i < 0 {
		i = len(s.In)
		s.In = append(s.In, report.In{From: from, Type: typ})
		s.stay[key] = new(report.Live)
	}
	in := &s.In[i]
	in.Handled += n
	in.Errors += failed
	for range n {
		s.stay[key].Add(stay)
	}
	in.Stay = s.stay[key].Snapshot()
	in.Work += n * uint64(stay)
}

func table(rows ...damrey.Registration) *damrey.Table { return damrey.NewTable("damrey", rows, nil) }

func row(name string, commands ...damrey.Command) damrey.Registration {
	return damrey.Registration{Name: name, Commands: commands}
}

func (r *rig) edge(from, typ, to string) api.Edge {
	for _, e := range r.Network(r.now).Edges {
		if e.From == from && e.Type == typ && e.To == to {
			return e
		}
	}
	return api.Edge{}
}

func (r *rig) node(name string) api.Node {
	for _, n := range r.Network(r.now).Nodes {
		if n.Name == name {
			return n
		}
	}
	return api.Node{}
}

func (r *rig) kinds() (kinds []api.EventKind) {
	events, _, _, _ := r.Journal().After(0, kept)
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func TestView_SaysWhatIsInFlightAlongARoute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"}), row("add")))
	a, b := r.source("add", "A"), r.source("add", "B")
	a.In = []report.In{{From: "entry", Type: "add", InFlight: 3}, {From: "other", Type: "add", InFlight: 1}} // their first ones
	b.In = []report.In{{From: "entry", Type: "add", InFlight: 1 << 60}}                                      // what nobody has
	a.beat()
	b.beat()
	if e := r.edge("entry", "add", "add"); e.InFlight != 3+maxInHand {
		t.Errorf("%d", e.InFlight)
	}
	b.In[0].InFlight = 2
	b.beat()
	if e := r.edge("entry", "add", "add"); e.InFlight != 5 {
		t.Errorf("%d", e.InFlight)
	}
	b.State = report.Left
	b.beat()
	if e := r.edge("entry", "add", "add"); e.InFlight != 3 {
		t.Errorf("%d once one has left", e.InFlight)
	}
}

func TestView_RatesAreExactFromTheSecondBeat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("add")))
	s := r.source("add", "A")
	s.beat()
	for range 4 {
		r.pass(report.Every)
		s.handle("entry", "add", 500, 25, 2*time.Millisecond)
		s.beat()
		if e := r.edge("entry", "add", "add"); e.Rate != 100 && e.Rate < 99 {
			t.Errorf("%v: rate %v", r.now.Run, e.Rate)
		}
	}
	e := r.edge("entry", "add", "add")
	if e.Errors != 0.05 || e.P95 < 1.8 || e.P95 > 2.3 || e.Work != 2 || e.Declared || !e.Observed {
		t.Errorf("%+v", e)
	}
	if n := r.node("add"); n.Rate < 99 || n.Rate > 101 || n.Health != api.HealthOK {
		t.Errorf("%+v", n)
	}
	r.pass(30 * time.Second)
	s.beat()
	r.pass(report.Every)
	s.beat()
	r.pass(report.Every)
	s.beat()
	if e := r.edge("entry", "add", "add"); e.Rate != 0 || e.Health != api.HealthIdle || !e.Observed {
		t.Errorf("after the traffic: %+v", e)
	}
}

// A proxy that starts while everything runs counts only what comes from then on.
func TestView_StartsInTheMiddle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.Started = r.now.Wall.Add(-time.Hour)
	s.handle("entry", "add", 1000, 0, time.Millisecond)
	s.beat()
	if n := r.node("add"); n.Ready != 1 || n.Rate != 0 {
		t.Errorf("after one beat: %+v", n)
	}
	r.pass(report.Every)
	s.handle("entry", "add", 50, 0, time.Millisecond)
	s.beat()
	if e := r.edge("entry", "add", "add"); e.Rate != 10 || e.Handled != 50 {
		t.Errorf("after two beats: %+v", e)
	}
	if kinds := r.kinds(); len(kinds) != 0 {
		t.Errorf("what was there before is told as %v", kinds)
	}
}

func TestView_RestartUnderTheSameIDNeverCountsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.handle("entry", "add", 100, 0, time.Millisecond)
	s.beat()
	r.pass(report.Every)
	again := r.source("add", "A")
	again.handle("entry", "add", 120, 0, time.Millisecond)
	again.beat()
	if m := r.Metrics(r.now); len(m.Routes) != 1 || m.Routes[0].Handled != 220 || m.Routes[0].Stayed != 220 {
		t.Errorf("%+v", m.Routes)
	}
}

func TestView_LostAfterThreeMissedBeats(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"}), row("add")))
	s := r.source("add", "A")
	s.beat()
	r.pass(report.Missed*report.Every - time.Second)
	if n := r.node("add"); n.Ready != 1 {
		t.Errorf("lost too early: %+v", n)
	}
	r.pass(4 * time.Second)
	if n := r.node("add"); n.Ready != 0 || n.Health != api.HealthFailing || n.Why == "" {
		t.Errorf("not lost: %+v", n)
	}
	if e := r.edge("entry", "add", "add"); e.Health != api.HealthFailing || !strings.Contains(e.Why, "add") {
		t.Errorf("%+v", e)
	}
	if list := r.Instances(r.now).Instances; len(list) != 1 || list[0].State != Lost {
		t.Errorf("%+v", list)
	}
	s.beat()
	if n := r.node("add"); n.Ready != 1 || n.Health != api.HealthIdle {
		t.Errorf("back again: %+v", n)
	}
	r.pass(20 * time.Second)
	r.pass(remember + time.Second)
	if list := r.Instances(r.now).Instances; len(list) != 0 {
		t.Errorf("remembered for too long: %+v", list)
	}
	want := []api.EventKind{api.EventInstanceJoined, api.EventInstanceLost, api.EventInstanceJoined, api.EventInstanceLost}
	if got := r.kinds(); !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
}

// What happens to the proxy itself is no silence of others.
func TestView_NobodyIsLostWhileTheProxyHearsNothing(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(*rig){
		"its clock jumps ahead": func(r *rig) { r.now.Wall = r.now.Wall.Add(24 * time.Hour) },
		"its clock jumps back":  func(r *rig) { r.now.Wall = r.now.Wall.Add(-24 * time.Hour) },
		"it was frozen":         func(r *rig) { r.now.Run += time.Hour; r.now.Wall = r.now.Wall.Add(time.Hour) },
		"its connection was away": func(r *rig) {
			for range 60 {
				r.now.Run += time.Second
				r.Tick(r.now, false)
			}
		},
	} {
		r := newRig(t)
		s := r.source("add", "A")
		s.beat()
		r.pass(report.Every)
		happens(r)
		r.pass(3 * time.Second)
		if list := r.Instances(r.now).Instances; list[0].State != "ready" {
			t.Errorf("%s: %+v", name, list)
		}
		r.pass(20 * time.Second)
		if list := r.Instances(r.now).Instances; list[0].State != Lost {
			t.Errorf("%s: not lost afterwards: %+v", name, list)
		}
	}
}

func TestView_ClockSkew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	b := s.Beat
	b.At, b.Started = r.now.Wall.Add(42*time.Second), r.now.Wall.Add(42*time.Second)
	if err := r.Hear(r.now, &b); err != nil {
		t.Fatal(err)
	}
	if list := r.Instances(r.now).Instances; list[0].Skew != 42 {
		t.Errorf("%+v", list)
	}
}

func TestView_NoSkewIsZero(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	b := s.Beat
	b.At = r.now.Wall.Add(-time.Microsecond)
	if err := r.Hear(r.now, &b); err != nil {
		t.Fatal(err)
	}
	if list := r.Instances(r.now).Instances; fmt.Sprint(list[0].Skew) != "0" {
		t.Errorf("%v", list[0].Skew)
	}
}

func TestView_Health(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(*rig, *source)
		want api.Health
		why  string
	}{
		"some errors": {func(_ *rig, s *source) { s.handle("entry", "add", 100, 6, time.Millisecond) }, api.HealthDegraded, "6 %"},
		"few errors":  {func(_ *rig, s *source) { s.handle("entry", "add", 100, 5, time.Millisecond) }, api.HealthOK, ""},
		"most errors": {func(_ *rig, s *source) { s.handle("entry", "add", 100, 51, time.Millisecond) }, api.HealthFailing, "51 %"},
		"busy":        {func(_ *rig, s *source) { s.In = []report.In{{From: "entry", Type: "add", Busy: 2}} }, api.HealthDegraded, "queue"},
		"timeouts":    {func(_ *rig, s *source) { s.In = []report.In{{From: "entry", Type: "add", Timeouts: 1}} }, api.HealthDegraded, "time"},
		"idle":        {func(*rig, *source) {}, api.HealthIdle, ""},
		"paused": {func(r *rig, _ *source) {
			paused := row("add")
			paused.Paused = true
			r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"}), paused))
		}, api.HealthDegraded, "paused"},
		"undelivered": {func(r *rig, _ *source) {
			if err := r.Undelivered(r.now, "entry→add→add", 2, "nobody"); err != nil {
				t.Error(err)
			}
		}, api.HealthFailing, "nobody"},
		"backlog": {func(r *rig, _ *source) {
			r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add", Delivery: damrey.Durable}), row("add")))
			r.SetStores(r.now, map[string]Store{"add": {Stored: 70, Kept: 70, MaxMessages: 100, Pending: 70}}, nil)
		}, api.HealthDegraded, "70 %"},
		"not registered": {func(r *rig, _ *source) {
			r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"})))
		}, api.HealthFailing, "not registered"},
		"nobody there": {func(r *rig, s *source) { s.State = report.Left }, api.HealthFailing, "no instance"},
		"waiting":      {func(r *rig, s *source) { s.State = report.Waiting }, api.HealthFailing, "wait"},
	} {
		r := newRig(t)
		r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"}), row("add")))
		s := r.source("add", "A")
		s.beat()
		r.pass(report.Every)
		c.do(r, s)
		s.beat()
		if e := r.edge("entry", "add", "add"); e.Health != c.want || !strings.Contains(e.Why, c.why) || (c.why == "") != (e.Why == "") {
			t.Errorf("%s: %s, %q", name, e.Health, e.Why)
		}
	}
}

// Whoever may publish may say any number; what is summed must not run over.
func TestView_RefusesNumbersOfUndeliveredThatCannotBe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, n := range []int{-1, 0, maxCount, math.MaxInt} {
		if err := r.Undelivered(r.now, "entry→add→add", n, "nobody"); err == nil {
			t.Errorf("%d is taken", n)
		}
	}
	if events, _, _, _ := r.Journal().After(0, kept); len(events) > 0 {
		t.Errorf("told %+v", events)
	}
}

// A program without the library does not beat; it is well as long as what is sent to it arrives.
func TestView_PlainWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "plain"}), row("plain")))
	s := r.source("entry", "E")
	s.beat()
	r.pass(report.Every)
	s.Out = []report.Out{{Type: "add", To: "plain", Sent: 10}}
	s.beat()
	if n := r.node("plain"); n.Health != api.HealthOK {
		t.Errorf("%+v", n)
	}
	r.pass(report.Every)
	s.Out = []report.Out{{Type: "add", To: "plain", Sent: 20, Stopped: 3}}
	s.beat()
	if n := r.node("plain"); n.Health != api.HealthFailing {
		t.Errorf("%+v", n)
	}
}

func TestView_DefaultRoute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("entry", damrey.Command{Name: "*", Worker: "add"}), row("add")))
	s := r.source("add", "A")
	s.beat()
	r.pass(report.Every)
	s.handle("entry", "anything", 1, 0, time.Millisecond)
	s.beat()
	if e := r.edge("entry", "anything", "add"); !e.Declared || !e.Observed {
		t.Errorf("%+v", e)
	}
	if e := r.edge("entry", "*", "add"); !e.Declared || !e.Observed {
		t.Errorf("%+v", e)
	}
}

func TestView_StatsFineAndCoarse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.beat()
	const beats = 2 * 60 * 12 // two hours
	for range beats {
		r.pass(report.Every)
		s.handle("entry", "add", 10, 1, 4*time.Millisecond)
		s.beat()
	}
	key := Key{"entry", "add", "add"}
	sum := func(q Query) (n uint64, answer api.StatsAnswer) {
		answer = r.Stats(r.now, q)
		for i, p := range answer.Series[0].Points {
			n += p.Handled
			if p.P99 < 3.5 || p.P99 > 4.5 || p.Errors != 0.1 {
				t.Fatalf("%+v", p)
			}
			if i > 0 && !p.At.After(answer.Series[0].Points[i-1].At) {
				t.Fatalf("points are out of order: %+v", answer.Series[0].Points)
			}
		}
		return n, answer
	}
	if n, a := sum(Query{From: r.now.Wall.Add(-10 * time.Minute), To: r.now.Wall, Route: &key}); a.Step != 5 || n < 1190 || n > 1220 {
		t.Errorf("ten minutes: %d in steps of %v", n, a.Step)
	}
	if n, a := sum(Query{From: r.now.Wall.Add(-3 * time.Hour), To: r.now.Wall, Route: &key}); a.Step != 60 || n != 10*beats {
		t.Errorf("all: %d of %d in steps of %v", n, 10*beats, a.Step)
	}
	if n, _ := sum(Query{From: r.now.Wall.Add(-3 * time.Hour), To: r.now.Wall}); n != 10*beats {
		t.Errorf("everything together: %d of %d", n, 10*beats)
	}
	r.pass(25 * time.Hour)
	if a := r.Stats(r.now, Query{From: r.now.Wall.Add(-30 * time.Hour), To: r.now.Wall}); len(a.Series[0].Points) != 0 {
		t.Errorf("remembered for more than a day: %+v", a.Series[0].Points[0])
	}
}

func TestView_ManyTypesStayBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 100 {
		s := r.source(fmt.Sprintf("w%d", n), "A")
		s.beat()
		for i := range 100 {
			s.handle("entry", fmt.Sprintf("t%d", i), 1, 0, time.Millisecond)
		}
		s.beat()
	}
	m := r.Metrics(r.now)
	var handled uint64
	other := false
	for _, route := range m.Routes {
		handled += route.Handled
		other = other || route.Key == Key{"other", "other", "other"}
	}
	if len(m.Routes) != maxUndeclaredLabels+1 || handled != 10_000 || !other || len(r.routes) > MaxRoutes+1 {
		t.Errorf("%d routes, %d messages", len(m.Routes), handled)
	}
	if n := len(r.kinds()) - 100; n != 1 { // beside those that joined
		t.Errorf("it was told %d times", n)
	}
}

// fail counts one failure, of some time ago by the instance's clock.
func (s *source) fail(code, text string, ago time.Duration) {
	s.handle("entry", "add", 1, 1, time.Millisecond)
	in := &s.In[0]
	in.LastCode, in.LastError, in.LastAt = code, text, s.r.now.Wall.Add(s.skew-ago)
}

func (r *rig) lastErrors() []api.LastError {
	key, now := Key{"entry", "add", "add"}, r.now.Wall
	for _, s := range r.Stats(r.now, Query{From: now.Add(-time.Minute), To: now, Route: &key}).Series {
		return s.LastErrors
	}
	return nil
}

func TestView_TheLastErrorsSayWhenAndWhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.source("add", "A"), r.source("add", "B")
	b.skew = 20 * time.Minute // its clock is wrong
	a.beat()
	b.beat()
	r.pass(report.Every)
	begin := r.now.Wall
	b.fail("too_large", "by B", time.Second)
	b.beat()
	a.fail("", "by A", 2*time.Second) // of an instance that does not say the code
	a.beat()
	want := []api.LastError{{At: begin.Add(-time.Second), Code: "too_large", Text: "by B", Instance: "B"}, {At: begin.Add(-2 * time.Second), Code: "error", Text: "by A", Instance: "A"}}
	if got := r.lastErrors(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	r.pass(report.Every)
	a.beat() // says it again, and that none was added
	a.fail("error", "long ago, if its clock were right", time.Hour)
	a.beat()
	if got := r.lastErrors(); len(got) != 3 || r.now.Wall.Sub(got[0].At) > report.Every || got[0].Instance != "A" {
		t.Errorf("after a clock has jumped: %+v", got)
	}
	if e := r.edge("entry", "add", "add"); e.LastError != "long ago, if its clock were right" {
		t.Errorf("%+v", e)
	}
}

func TestView_ForgedErrorsStayFew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.beat()
	for n := range 100 {
		r.pass(report.Every)
		s.fail(strings.Repeat("c", 10_000), strings.Repeat("x", 10_000), time.Duration(n-50)*time.Hour)
		s.beat()
	}
	got := r.lastErrors()
	if len(got) != 5 || len(got[0].Text) > 300 || len(got[0].Code) > 300 || r.now.Wall.Sub(got[0].At) > report.Every {
		t.Errorf("%d, %+v", len(got), got)
	}
	r.pass(coarseTime)
	if len(r.lastErrors()) != 0 || r.edge("entry", "add", "add").LastError != "" {
		t.Errorf("a day later: %+v", r.lastErrors())
	}
}

func TestView_OneInstanceWithManyRoutesIsFolded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.source("add", "A")
	s.beat()
	for wave := range 10 { // each beat has other routes; none is lost and none is counted twice
		r.pass(report.Every)
		s.In = nil
		for i := range 100 {
			s.handle("entry", fmt.Sprintf("t%d-%d", wave, i), 1, 0, time.Millisecond)
		}
		s.beat()
	}
	if n := len(r.Metrics(r.now).Routes); n > 2*report.MaxRoutes+2 {
		t.Errorf("%d routes of one instance", n)
	}
}

func TestView_RefusesAndTellsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, b := range map[string]report.Beat{
		"negative":    {PID: -1},
		"text":        {Host: strings.Repeat("x", 1000)},
		"counter":     {Counts: map[string]uint64{strings.Repeat("x", 1000): 1}},
		"huge":        {In: []report.In{{From: "a", Type: "b", Handled: 1 << 63}}},
		"huge bucket": {In: []report.In{{From: "a", Type: "b", Stay: report.Histogram{{Bucket: 1, N: 1 << 60}}}}},
		"huge out":    {Out: []report.Out{{To: "a", Type: "b", Sent: 1 << 63}}},
		"name":        {In: []report.In{{From: "<script>", Type: "b"}}},
		"twice":       {In: []report.In{{From: "a", Type: "b"}, {From: "a", Type: "b"}}},
	} {
		b.Worker, b.Instance, b.State, b.At = "w", "i", report.Ready, r.now.Wall
		if err := r.Hear(r.now, &b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if list := r.Instances(r.now).Instances; len(list) != 0 {
		t.Errorf("%+v", list)
	}
	r.pass(tellEvery + time.Second)
	if kinds := r.kinds(); len(kinds) != 2 {
		t.Errorf("told as %v", kinds)
	}
	if m := r.Metrics(r.now); m.Refused != 8 {
		t.Errorf("%d are counted", m.Refused)
	}
}

func TestView_TooManyInstances(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range MaxInstances {
		r.source("add", fmt.Sprintf("A%d", i)).beat()
	}
	b := r.source("add", "late").Beat
	b.At = r.now.Wall
	if err := r.Hear(r.now, &b); err == nil {
		t.Error("one more is taken")
	}
	gone := r.source("add", "A7")
	gone.State = report.Left
	gone.beat()
	if err := r.Hear(r.now, &b); err != nil {
		t.Errorf("there is room since one left: %v", err)
	}
}

func TestJournal_SaysWhatIsForgotten(t *testing.T) {
	t.Parallel()
	j := newJournal("run")
	for range 2*kept + 10 {
		j.Add(time.Now(), api.Event{Kind: api.EventInstanceState})
	}
	events, next, missed, _ := j.After(10, 1)
	if missed != kept || next != kept+11 || len(events) != 1 || events[0].ID != fmt.Sprintf("run-%d", kept+11) {
		t.Errorf("%d missed, then %+v, next %d", missed, events, next)
	}
	if events, _, missed, _ := j.After(next, 10*kept); missed != 0 || len(events) != kept-1 {
		t.Errorf("%d events, %d missed", len(events), missed)
	}
}

// What a day takes: 2,000 routes are to fit beside all else in 200 MB.
func TestView_MemoryOfADay(t *testing.T) {
	r := newRig(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	now := r.now
	hist := report.Histogram{}
	for b := 40; b < 60; b++ {
		hist = append(hist, report.Count{Bucket: b, N: 25})
	}
	keys := make([]Key, 200)
	for i := range keys {
		keys[i] = Key{fmt.Sprintf("from%d", i%100), fmt.Sprintf("type%d", i), fmt.Sprintf("to%d", i%200)}
	}
	for n := range 24*60 + 15*12 { // a day by minutes, then a quarter of an hour by steps
		if n < 24*60 {
			now.Run += time.Minute
		} else {
			now.Run += fineStep
		}
		for _, k := range keys {
			c := counts{handled: 500, failed: 3, waited: 20_000, worked: 1_000_000, sent: 500}
			var over spell
			over.set(now.Run-report.Every, now.Run)
			r.route(now, k).add(now.Run, &over, &c, hist)
		}
		r.roll(now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	each := used / int64(len(keys))
	t.Logf("a route takes %d bytes", each)
	if each > 50_000 {
		t.Errorf("%d bytes a route", each)
	}
	runtime.KeepAlive(r)
}

// A bridge tells what programs without the library send; nobody else may speak for another.
func TestView_BridgeSpeaksForItsPrograms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	agent := r.source(report.AgentWorker, "a")
	agent.Out = []report.Out{{From: "shop", Type: "order", To: "bank"}, {From: "till", Type: "order", To: "bank"}}
	agent.beat()
	r.pass(report.Every)
	agent.Out[0].Sent, agent.Out[1].Sent, agent.Out[1].Stopped = 3, 4, 2
	agent.beat()
	r.pass(time.Second)
	found := 0
	for _, e := range r.Network(r.now).Edges {
		if e.To == "bank" && e.Observed {
			found++
			if e.From == "till" && e.Undelivered != 2 {
				t.Errorf("%+v", e)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of 2 routes are seen: %+v", found, r.Network(r.now).Edges)
	}
	liar := r.source("w", "i").Beat
	liar.Out = []report.Out{{From: "shop", Type: "order", To: "bank", Sent: 1}}
	if err := r.Hear(r.now, &liar); err == nil {
		t.Error("a worker speaks for another")
	}
}

// What waits is told of the route that it waits on, how full the target is of every route to it.
func TestView_BacklogIsOfTheRoute(t *testing.T) {
	t.Parallel()
	durable := func(typ string) damrey.Command {
		return damrey.Command{Name: typ, Worker: "sink", Delivery: damrey.Durable}
	}
	for name, c := range map[string]struct {
		routes, held map[Key]uint64
		want         map[Key][2]uint64 // pending and in hand
	}{
		"told apart": {
			routes: map[Key]uint64{{"a1", "t", "sink"}: 7, {"a3", "x", "sink"}: 1, {"a3", "y", "sink"}: 2},
			want:   map[Key][2]uint64{{"a1", "t", "sink"}: {4, 3}, {"a2", "t", "sink"}: {}, {"a3", "*", "sink"}: {2, 1}},
		},
		"one is held": {
			routes: map[Key]uint64{{"a1", "t", "sink"}: 4},
			held:   map[Key]uint64{{"a2", "t", "sink"}: 6},
			want:   map[Key][2]uint64{{"a1", "t", "sink"}: {0, 4}, {"a2", "t", "sink"}: {6, 0}, {"a3", "*", "sink"}: {}},
		},
		"not told apart": {
			want: map[Key][2]uint64{{"a1", "t", "sink"}: {6, 4}, {"a2", "t", "sink"}: {6, 4}, {"a3", "*", "sink"}: {6, 4}},
		},
	} {
		r := newRig(t)
		r.SetTable(table(row("a1", durable("t")), row("a2", durable("t")), row("a3", durable("*")), row("sink")))
		s := Store{Stored: 10, Pending: 6, Unacked: 4, Kept: 10, MaxMessages: 20, Oldest: 3 * time.Second, Routes: c.routes, Held: c.held}
		r.SetStores(r.now, map[string]Store{"sink": s}, nil)
		for key, want := range c.want {
			b := r.edge(key.From, key.Type, key.To).Durable
			if b.Pending != want[0] || b.Unacked != want[1] || b.Stored != 10 || b.Fill != 0.5 || b.Limit != 20 || b.OldestAge != 3 {
				t.Errorf("%s: %s: %+v, want %v", name, key, *b, want)
			}
		}
		for _, p := range r.Stats(r.now, Query{From: r.now.Wall, To: r.now.Wall, Route: &Key{"a1", "t", "sink"}}).Series[0].Points {
			if want := c.want[Key{"a1", "t", "sink"}]; p.Stored != want[0]+want[1] {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
}

// The first minute is as long as it was seen. Of minutes it is not kept how long messages waited, so nothing is said of it.
func TestView_StatsOfAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.now.Run = 40 * time.Second
	r.View = New(r.now, "run")
	s := r.source("add", "A")
	s.beat()
	for range 20 {
		r.pass(report.Every)
		s.handle("entry", "add", 20, 0, time.Millisecond)
		s.beat()
	}
	for back, coarse := range map[time.Duration]bool{time.Hour: true, time.Minute: false} {
		points := r.Stats(r.now, Query{From: r.now.Wall.Add(-back), To: r.now.Wall}).Series[0].Points
		for i, p := range points {
			data, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if has := strings.Contains(string(data), `"work_ms":1`) && strings.Contains(string(data), `"wait_ms":0`); has == coarse ||
				strings.Count(string(data), "_ms") != map[bool]int{true: 3, false: 5}[coarse] {
				t.Errorf("%v back: %s", back, data)
			}
			if p.Rate < 3.8 || p.Rate > 4.2 {
				t.Errorf("%v back: point %d: rate %v", back, i, p.Rate)
			}
		}
	}
}

// A worker is no better than its alarms, and says which one it is.
func TestView_AlarmsMakeAWorkerWorse(t *testing.T) {
	t.Parallel()
	firing := func(severity string) api.Alarm {
		return api.Alarm{Rule: "r-" + severity, Severity: severity, State: api.AlarmFiring, Worker: "add", Text: "it is " + severity}
	}
	resolved := firing("critical")
	resolved.State = api.AlarmResolved
	for name, c := range map[string]struct {
		alarms []api.Alarm
		failed uint64
		want   api.Health
		why    string
		count  int
	}{
		"none":                   {want: api.HealthOK},
		"a warning":              {[]api.Alarm{firing("warning"), resolved}, 0, api.HealthDegraded, "alarm r-warning: it is warning", 1},
		"a critical one besides": {[]api.Alarm{firing("info"), firing("warning"), firing("critical"), firing("warning")}, 0, api.HealthFailing, "alarm r-critical: it is critical", 4},
		"one to know of":         {[]api.Alarm{firing("info")}, 0, api.HealthOK, "", 1},
		"it fails by itself":     {[]api.Alarm{firing("warning")}, 60, api.HealthFailing, "60 % of the messages fail", 1},
		"it is as bad by itself": {[]api.Alarm{firing("warning")}, 10, api.HealthDegraded, "10 % of the messages fail", 1},
		"another's":              {[]api.Alarm{{Severity: "critical", State: api.AlarmFiring}}, 0, api.HealthOK, "", 0},
	} {
		r := newRig(t)
		r.SetTable(table(row("entry", damrey.Command{Name: "add", Worker: "add"}), row("add")))
		r.SetAlarms(c.alarms)
		if n := r.node("add"); n.Health != api.HealthUnknown {
			t.Errorf("%s: before it was heard: %s", name, n.Health)
		}
		s := r.source("add", "A")
		s.beat()
		r.pass(report.Every)
		s.handle("entry", "add", 100, c.failed, time.Millisecond)
		s.beat()
		if n := r.node("add"); n.Health != c.want || n.Why != c.why || n.Alarms != c.count {
			t.Errorf("%s: %+v", name, n)
		}
		if e := r.edge("entry", "add", "add"); c.failed == 0 && e.Health != api.HealthOK {
			t.Errorf("%s: a route to it: %+v", name, e)
		}
	}
}

// A worker has the times of all routes to it together, and what is stored for it.
func TestView_AWorkerSumsItsRoutesUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetTable(table(row("add")))
	s := r.source("add", "A")
	s.beat()
	r.pass(report.Every)
	s.handle("a", "slow", 30, 0, 100*time.Millisecond)
	s.handle("b", "fast", 70, 0, time.Millisecond)
	s.beat()
	r.SetStores(r.now, map[string]Store{"add": {Stored: 9, Pending: 7, Unacked: 2}}, nil)
	if n := r.node("add"); n.P50 < 0.9 || n.P50 > 1.1 || n.P95 < 90 || n.P99 > 110 || n.Pending != 7 {
		t.Errorf("%+v", n)
	}
	if e := r.edge("b", "fast", "add"); e.P99 > 1.1 {
		t.Errorf("a route has the times of another: %+v", e)
	}
}
