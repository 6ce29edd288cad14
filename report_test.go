package damrey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/view"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// beats are what came of a worker's instances.
type beats struct {
	mu  sync.Mutex // guards all
	all []*report.Beat
}

func (f *fabric) beats(worker string) *beats {
	f.t.Helper()
	b := new(beats)
	_, err := f.nc.Subscribe(report.Subject("damrey", worker, "*"), func(m *nats.Msg) {
		instance := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		beat, err := new(view.Parser).Parse(worker, instance, m.Data)
		if err != nil {
			f.t.Errorf("a beat of %s: %v", worker, err)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.all = append(b.all, beat)
	})
	must(f.t, err)
	must(f.t, f.nc.Flush())
	return b
}

// states are the states that were told, each as often as it changed.
func (b *beats) states() (states []report.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.all {
		if len(states) == 0 || states[len(states)-1] != one.State {
			states = append(states, one.State)
		}
	}
	return states
}

func (b *beats) last() *report.Beat {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) == 0 {
		return &report.Beat{}
	}
	return b.all[len(b.all)-1]
}

// final stops an instance and gives its last beat.
func (b *beats) final(t *testing.T, w *damrey.Instance) *report.Beat {
	t.Helper()
	w.Stop()
	eventually(t, "it says that it has left", func() bool { return b.last().State == report.Left })
	return b.last()
}

func in(t *testing.T, b *report.Beat, from, typ string) report.In {
	t.Helper()
	for _, one := range b.In {
		if one.From == from && one.Type == typ {
			return one
		}
	}
	t.Fatalf("nothing came along %s→%s: %+v", from, typ, b.In)
	return report.In{}
}

func out(t *testing.T, b *report.Beat, typ string) report.Out {
	t.Helper()
	for _, one := range b.Out {
		if one.Type == typ {
			return one
		}
	}
	t.Fatalf("nothing was sent as %s: %+v", typ, b.Out)
	return report.Out{}
}

func TestReport_CountsEachRouteByItself(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("ok", "w"), to("fails", "w"), to("says", "w"), to("panics", "w"), to("slow", "w"), to("gone", "nobody"))
	f.register("other", to("ok", "w"))
	f.register("w")
	told, sent := f.beats("w"), f.beats("src")
	w := f.instance(damrey.Config{Name: "w", Timeout: patience})
	w.Handle("ok", echo)
	w.Handle("fails", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		return nil, errors.New("no \xff" + strings.Repeat("ä", 1000))
	})
	w.Handle("says", func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.Fail("not today"), nil })
	w.Handle("panics", func(context.Context, damrey.Msg) (damrey.Msg, error) { panic("oh") })
	w.Handle("slow", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) { <-ctx.Done(); return nil, ctx.Err() })
	f.serve(w)
	src := f.serve(f.instance(damrey.Config{Name: "src", Timeout: patience}))
	other := f.serve(f.instance(damrey.Config{Name: "other"}))
	ctx := t.Context()
	for range 5 {
		_, err := src.Request(ctx, "ok")
		must(t, err)
		must(t, src.Send(ctx, "ok"))
		_, err = other.Request(ctx, "ok")
		must(t, err)
	}
	for _, typ := range []string{"fails", "says", "panics"} {
		for range 3 {
			if _, err := src.Request(ctx, typ); err == nil {
				t.Fatalf("%s gives no error", typ)
			}
		}
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := src.Request(short, "slow"); !errors.Is(err, damrey.ErrTimeout) {
		t.Fatalf("slow: %v", err)
	}
	if _, err := src.Request(ctx, "gone"); !errors.Is(err, damrey.ErrNoInstance) {
		t.Fatalf("gone: %v", err)
	}
	must(t, src.Send(ctx, "gone"))
	if err := src.Flush(ctx); !errors.Is(err, damrey.ErrUndelivered) {
		t.Fatalf("gone: %v", err)
	}
	must(t, f.nc.Publish("damrey.msg.w.ok.src", []byte(`["REQUEST","another"]`)))
	eventually(t, "all has come", func() bool { return w.Stats().Handled == 25 && w.Stats().Malformed == 1 && w.Stats().InFlight == 0 })

	b := told.final(t, w)
	for _, c := range []struct {
		from, typ                            string
		handled, errors, timeouts, malformed uint64
		code, text                           string
	}{
		{"src", "ok", 10, 0, 0, 1, "", ""}, {"other", "ok", 5, 0, 0, 0, "", ""},
		{"src", "fails", 3, 3, 0, 0, "error", "no �ä"}, {"src", "says", 3, 3, 0, 0, "error", "not today"}, {"src", "panics", 3, 3, 0, 0, "panic", "oh"},
		{"src", "slow", 1, 0, 1, 0, "", ""},
	} {
		got := in(t, b, c.from, c.typ)
		if got.Handled != c.handled || got.Errors != c.errors || got.Timeouts != c.timeouts || got.Malformed != c.malformed || got.Busy != 0 {
			t.Errorf("%s→%s: %+v", c.from, c.typ, got)
		}
		if !strings.Contains(got.LastError, c.text) || (c.text == "") != (got.LastError == "") || len(got.LastError) > 210 || !utf8.ValidString(got.LastError) {
			t.Errorf("%s→%s: the last error is %q", c.from, c.typ, got.LastError)
		}
		if got.LastCode != c.code || got.LastAt.IsZero() != (c.text == "") || got.LastAt.After(b.At) {
			t.Errorf("%s→%s: the last error was %q at %v", c.from, c.typ, got.LastCode, got.LastAt)
		}
		if got.Stay.Total() != got.Handled || got.Work == 0 || got.Wait == 0 {
			t.Errorf("%s→%s: times are %+v", c.from, c.typ, got)
		}
	}
	addsUp(t, b, w.Stats())
	if slow := in(t, b, "src", "slow"); time.Duration(slow.Work) < 10*time.Millisecond {
		t.Errorf("slow took %v", time.Duration(slow.Work))
	}
	b = sent.final(t, src)
	for _, want := range []report.Out{
		{Type: "ok", To: "w", Sent: 10}, {Type: "fails", To: "w", Sent: 3}, {Type: "slow", To: "w", Sent: 1, Timeouts: 1},
		{Type: "gone", To: "nobody", Sent: 2, Stopped: 1, Undelivered: 1},
	} {
		if got := out(t, b, want.Type); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if b.Counts["requests"] != src.Stats().Requests || b.Counts["sends"] != 6 {
		t.Errorf("%v", b.Counts)
	}
}

func addsUp(t *testing.T, b *report.Beat, s damrey.Stats) {
	t.Helper()
	var handled uint64
	for _, one := range b.In {
		handled += one.Handled
	}
	if handled != s.Handled || s.Handled != b.Counts["handled"] {
		t.Errorf("%d were handled by route, %d in all, %d are told", handled, s.Handled, b.Counts["handled"])
	}
}

func TestReport_CountsWhatWasRefusedAndTooLate(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 1})
	told := f.beats("w")
	w := f.worker("w", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) { <-ctx.Done(); return nil, nil }, damrey.WithQueue(1))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var asked sync.WaitGroup
	for range 6 {
		asked.Go(func() { _, _ = src.Request(short, "x") }) // busy or too late, as counted below
	}
	asked.Wait()
	eventually(t, "all are over", func() bool { s := w.Stats(); return s.Handled+s.Expired+s.Busy == 6 && s.InFlight == 0 })
	got := in(t, told.final(t, w), "src", "x")
	s := w.Stats()
	if got.Busy == 0 || got.Busy != s.Busy || got.Handled != s.Handled || got.Timeouts != s.Expired+s.Handled || got.Errors != 0 {
		t.Errorf("%+v of %+v", got, s)
	}
}

func TestReport_TellsStatesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	told := f.beats("w")
	w := f.instance(damrey.Config{Name: "w"})
	w.Handle("*", echo)
	f.run(w)
	state := func(want report.State) {
		t.Helper()
		eventually(t, string(want), func() bool { return told.last().State == want })
	}
	state(report.Waiting)
	f.put(damrey.Registration{Name: "w", Agent: "10.9.9.9:1"})
	state(report.Standby)
	f.put(damrey.Registration{Name: "w", MPU: 7})
	state(report.Ready)
	eventually(t, "mpu is told", func() bool { return told.last().Capacity == 7 })
	must(t, f.kv.Delete(f.context(), "w"))
	state(report.Waiting)
	w.Stop()
	state(report.Left)
	b := told.last()
	if b.Instance != w.ID() || b.Version != damrey.Version || b.Agent != "broker" || b.PID == 0 || b.Host == "" || b.Started.IsZero() || b.At.Before(b.Started) {
		t.Errorf("%+v", b)
	}
	if n := len(told.states()); n < 5 {
		t.Errorf("states were %v", told.states())
	}
}

// What is in a handler is told by route, also of the first message along one.
func TestReport_SaysWhatIsInHandlers(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	told := f.beats("w")
	f.register("src", to("slow", "w"), to("quick", "w"))
	f.register("w")
	begun, end := make(chan struct{}, 2), make(chan struct{})
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Type() == "slow" {
			begun <- struct{}{}
			<-end
		}
		return nil, nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	_, err := src.Request(f.context(), "quick")
	must(t, err)
	for range 2 {
		must(t, src.Send(f.context(), "slow"))
		await(t, "it is in its handler", begun)
	}
	f.put(damrey.Registration{Name: "w", Agent: "10.9.9.9:1"}) // another state, which is told at once
	eventually(t, "they are told", func() bool {
		for _, one := range told.last().In {
			if one.Type == "slow" && one.InFlight == 2 && one.Handled == 0 {
				return true
			}
		}
		return false
	})
	if quick := in(t, told.last(), "src", "quick"); quick.InFlight != 0 {
		t.Errorf("%+v", quick)
	}
	close(end)
	if slow := in(t, told.final(t, w), "src", "slow"); slow.InFlight != 0 || slow.Handled != 2 {
		t.Errorf("%+v", slow)
	}
}

func TestReport_SaysThatItDrains(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	told := f.beats("w")
	begun, release := make(chan struct{}), make(chan struct{})
	w := f.worker("w", func(context.Context, damrey.Msg) (damrey.Msg, error) { close(begun); <-release; return nil, nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(t.Context(), "x"))
	await(t, "it is handled", begun)
	stopped := make(chan struct{})
	go func() { w.Stop(); close(stopped) }()
	eventually(t, "it drains", func() bool { b := told.last(); return b.State == report.Draining && b.InFlight == 1 })
	close(release)
	await(t, "stopped", stopped)
	eventually(t, "it has left", func() bool { return told.last().State == report.Left })
}

// A stored message counts each time that it is handled.
func TestReport_CountsStoredMessages(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.register("w", durably("y", "end"))
	f.register("end")
	f.jobs("w", "end")
	told, sent, ended := f.beats("w"), f.beats("src"), f.beats("end")
	var failed atomic.Bool
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Arg(0) == "3" && failed.CompareAndSwap(false, true) {
			return nil, errors.New("not yet")
		}
		return damrey.NewRequest("y", in.Arg(0)), nil
	})
	end := f.worker("end", echo)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const n = 10
	for i := range n {
		must(t, src.Send(f.context(), "x", fmt.Sprint(i)))
	}
	eventually(t, "all came to the end", func() bool { return end.Stats().Handled == n && w.Stats().Handled == n+1 && w.Stats().InFlight == 0 })
	b := told.final(t, w)
	if got := in(t, b, "src", "x"); got.Handled != n+1 || got.Errors != 1 || got.LastError != "not yet" || got.Stay.Total() != n+1 {
		t.Errorf("%+v", got)
	}
	if got := out(t, b, "y"); got != (report.Out{Type: "y", To: "end", Sent: n}) {
		t.Errorf("%+v", got)
	}
	addsUp(t, b, w.Stats())
	if got := in(t, ended.final(t, end), "w", "y"); got.Handled != n || got.Errors != 0 {
		t.Errorf("%+v", got)
	}
	if got := out(t, sent.final(t, src), "x"); got != (report.Out{Type: "x", To: "w", Sent: n}) {
		t.Errorf("%+v", got)
	}
}

// Ten thousand types come from whoever may publish; only some are told apart,
// and what is no type never is.
func TestReport_ManyTypesStayBounded(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.put(damrey.Registration{Name: "src", Commands: []damrey.Command{{Name: "*", Worker: "w"}}})
	f.register("w")
	told, sent := f.beats("w"), f.beats("src")
	w := f.worker("w", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const n = 10_000
	for i := range n {
		must(t, src.Send(t.Context(), fmt.Sprint("type-", i)))
	}
	must(t, src.Flush(t.Context()))
	for _, typ := range []string{"stranger", "<b>"} {
		must(t, f.nc.Publish("damrey.msg.w."+typ+".src", []byte(`["REQUEST","`+typ+`"]`)))
	}
	eventually(t, "all came", func() bool { return w.Stats().Handled == n+1 && w.Stats().Malformed == 1 })
	b := told.final(t, w)
	if len(b.In) != report.MaxRoutes+1 {
		t.Fatalf("%d routes are told", len(b.In))
	}
	if got := in(t, b, report.Other, report.Other); got.Handled != n+1-report.MaxRoutes || got.Stay.Total() != got.Handled || got.Malformed != 1 {
		t.Errorf("others: %d, %d malformed", got.Handled, got.Malformed)
	}
	addsUp(t, b, w.Stats())
	b = sent.final(t, src)
	if got := out(t, b, report.Other); len(b.Out) != report.MaxRoutes+1 || got.To != report.Other || got.Sent != n-report.MaxRoutes {
		t.Errorf("%d routes, others %+v", len(b.Out), got)
	}
}

func TestReport_SwitchedOff(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	told := f.beats("w")
	w := f.worker("w", echo, damrey.WithoutReports())
	src := f.serve(f.instance(damrey.Config{Name: "src"}, damrey.WithoutReports()))
	_, err := src.Request(t.Context(), "x")
	must(t, err)
	w.Stop()
	must(t, f.nc.Flush())
	if got := told.states(); len(got) != 0 || w.Stats().Handled != 1 {
		t.Errorf("states %v, %+v", got, w.Stats())
	}
}

// A stock service and a worker do the same work, and say the same of it.
func TestService_CountsAsMicroDoes(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	const took = 5 * time.Millisecond
	own, err := micro.AddService(f.nc, micro.Config{Name: "own", Version: "0.1.0", Endpoint: &micro.EndpointConfig{
		Subject: "own.x", Handler: micro.HandlerFunc(func(r micro.Request) {
			time.Sleep(took)
			if string(r.Data()) == "bad" {
				_ = r.Error("500", "went wrong", nil)
				return
			}
			_ = r.Respond(nil)
		}),
	}})
	must(t, err)
	defer func() { must(t, own.Stop()) }()
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		time.Sleep(took)
		if in.Arg(0) == "bad" {
			return damrey.Fail("went wrong"), nil
		}
		return nil, nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for _, what := range []string{"good", "good", "bad", "good"} {
		_, err := f.nc.Request("own.x", []byte(what), patience)
		must(t, err)
		if _, err := src.Request(t.Context(), "x", what); (err != nil) != (what == "bad") {
			t.Fatal(err)
		}
	}
	stats := func(name string) *micro.EndpointStats {
		m, err := f.nc.Request("$SRV.STATS."+name, nil, patience)
		must(t, err)
		var s micro.Stats
		must(t, json.Unmarshal(m.Data, &s))
		if s.Type != micro.StatsResponseType || s.Name != name || len(s.Endpoints) != 1 || s.Started.IsZero() {
			t.Fatalf("%s", m.Data)
		}
		return s.Endpoints[0]
	}
	eventually(t, "the times are counted", func() bool { return stats("w").ProcessingTime >= 4*took })
	theirs, ours := stats("own"), stats("w")
	if ours.NumRequests != theirs.NumRequests || ours.NumErrors != theirs.NumErrors || ours.NumErrors != 1 {
		t.Errorf("%+v, and a stock service %+v", ours, theirs)
	}
	// micro writes the code before the text.
	if !strings.HasSuffix(theirs.LastError, ours.LastError) || ours.LastError != "went wrong" {
		t.Errorf("%q, and a stock service %q", ours.LastError, theirs.LastError)
	}
	for name, s := range map[string]*micro.EndpointStats{"w": ours, "own": theirs} {
		if s.AverageProcessingTime != s.ProcessingTime/time.Duration(s.NumRequests) || s.AverageProcessingTime < took {
			t.Errorf("%s took %v each of %v in all, %d requests", name, s.AverageProcessingTime, s.ProcessingTime, s.NumRequests)
		}
	}
}

// What a bridge passes on is the program's that sent it.
func TestBridge_CountsByProgram(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("plain", to("x", "w"), to("gone", "nobody"))
	f.register("w")
	f.worker("w", echo)
	bridge := f.bridge()
	for range 3 {
		_, err := f.nc.Request("damrey.out.plain.x", nil, patience)
		must(t, err)
	}
	must(t, f.nc.Publish("damrey.out.plain.gone", nil))
	eventually(t, "all is counted", func() bool {
		all := bridge.Passed()
		return len(all) == 2 &&
			all[0] == report.Out{From: "plain", Type: "x", To: "w", Sent: 3} &&
			all[1] == report.Out{From: "plain", Type: "gone", To: "nobody", Sent: 1, Undelivered: 1}
	})
}
