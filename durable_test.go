package damrey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func durably(typ, worker string) damrey.Command {
	return damrey.Command{Name: typ, Worker: worker, Delivery: damrey.Durable, Backoff: damrey.Duration(20 * time.Millisecond)}
}

// jobs makes the streams, as the proxy would.
func (f *fabric) jobs(workers ...string) jetstream.JetStream {
	f.t.Helper()
	js, err := jetstream.New(f.nc)
	must(f.t, err)
	must(f.t, bucket.EnsureDead(f.context(), js, damrey.DefaultPrefix))
	for _, w := range workers {
		must(f.t, bucket.EnsureJobs(f.context(), js, damrey.DefaultPrefix, w, bucket.Limits{}))
		must(f.t, f.nc.Publish(damrey.JobsSubject(damrey.DefaultPrefix, w), nil))
	}
	return js
}

func stored(t *testing.T, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	must(t, err)
	return s.CachedInfo().State.Msgs
}

// effects counts how often each argument was handled.
type effects struct {
	mu   sync.Mutex
	seen map[string]int
}

func (e *effects) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen == nil {
		e.seen = map[string]int{}
	}
	e.seen[what]++
}

func (e *effects) len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen)
}

func TestDurable_WaitsForAnInstance(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.register("w")
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const n = 300
	var last *damrey.Future
	for i := range n {
		if i%3 == 0 {
			must(t, src.Send(f.context(), "x", fmt.Sprint(i)))
			continue
		}
		last = src.SendAsync(f.context(), "x", fmt.Sprint(i))
	}
	must(t, last.Wait(f.context()))
	must(t, src.Flush(f.context()))
	if got := stored(t, js, "DAMREY_JOBS_w"); got != n {
		t.Fatalf("%d stored, %d were sent", got, n)
	}
	var e effects
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { e.add(in.Arg(0)); return nil, nil })
	eventually(t, "all are handled", func() bool { return e.len() == n })
	eventually(t, "all are removed", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	for what, times := range e.seen {
		if times != 1 {
			t.Errorf("%s was handled %d times", what, times)
		}
	}
	if s := w.Stats(); s.Jobs != n || s.Redelivered != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDurable_LineOfThreeWithAnAnswer(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "a"))
	f.register("a", durably("y", "b"))
	f.register("b", durably("z", "c"))
	f.register("c")
	js := f.jobs("a", "b", "c")
	f.worker("a", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.NewRequest("y", in.Arg(0)+"a"), nil
	})
	f.worker("b", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.NewRequest("z", in.Arg(0)+"b"), nil
	})
	f.worker("c", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { return damrey.Reply(in.Arg(0) + "c"), nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for i := range 50 {
		got, err := src.Request(f.context(), "x", fmt.Sprint(i))
		must(t, err)
		if got.Arg(0) != fmt.Sprint(i)+"abc" {
			t.Fatalf("got %q", got)
		}
	}
	for _, s := range []string{"a", "b", "c"} {
		eventually(t, s+" is empty", func() bool { return stored(t, js, "DAMREY_JOBS_"+s) == 0 })
	}
}

func TestDurable_FailuresAreTriedAgainThenDead(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	once := durably("flaky", "w")
	never := durably("never", "w")
	never.Attempts = 3
	f.register("src", once, never, durably("discard", "w"), durably("later", "w"))
	f.register("w")
	js := f.jobs("w")
	var e effects
	var tries atomic.Int64
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		e.add(in.Type())
		switch in.Type() {
		case "flaky":
			if tries.Add(1) < 3 {
				panic("not yet")
			}
			return damrey.Reply("done"), nil
		case "never":
			return damrey.Fail("no stock"), nil
		case "later":
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.seen["later"] == 1 {
				return nil, damrey.RetryAfter(time.Millisecond)
			}
			return nil, nil
		}
		return nil, damrey.Discard(errors.New("nonsense"))
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	got, err := src.Request(f.context(), "flaky")
	must(t, err)
	if got.Arg(0) != "done" {
		t.Errorf("got %q", got)
	}
	got, err = src.Request(f.context(), "never")
	if err == nil || got.Tag() != damrey.ERROR || got.Arg(0) != "no stock" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = src.Request(f.context(), "discard")
	if err == nil || err.Error() != "damrey: nonsense" {
		t.Errorf("got %v", err)
	}
	_, err = src.Request(f.context(), "later")
	must(t, err)
	want := map[string]int{"flaky": 3, "never": 3, "discard": 1, "later": 2}
	for what, n := range want {
		if e.seen[what] != n {
			t.Errorf("%s ran %d times, not %d", what, e.seen[what], n)
		}
	}
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	dead, err := js.Stream(t.Context(), "DAMREY_DEAD")
	must(t, err)
	m, err := dead.GetLastMsgForSubject(t.Context(), "damrey.dead.w.never.src")
	must(t, err)
	if m.Header.Get("Damrey-Failures") != "3" || m.Header.Get("Damrey-Error") != "the handler answered ERROR never no stock" {
		t.Errorf("dead letter %v", m.Header)
	}
	if dead.CachedInfo().State.Msgs != 2 {
		t.Errorf("%d dead letters, not 2", dead.CachedInfo().State.Msgs)
	}
}

func TestDurable_FullAndMissingAreSaid(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"), durably("y", "none"), durably("z", "v"))
	f.register("v")
	js := f.jobs()
	must(t, bucket.EnsureJobs(f.context(), js, damrey.DefaultPrefix, "w", bucket.Limits{Messages: 2}))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x"))
	must(t, src.Send(f.context(), "x"))
	if err := src.Send(f.context(), "x"); !errors.Is(err, damrey.ErrFull) {
		t.Errorf("a third of two: %v", err)
	}
	if _, err := src.Request(f.context(), "x"); !errors.Is(err, damrey.ErrFull) {
		t.Errorf("a request: %v", err)
	}
	if err := src.Send(f.context(), "x"); strings.Contains(err.Error(), "id") {
		t.Errorf("it speaks of ids where none was given: %v", err)
	}
	// Handled, a message with an id is gone, and the id still counts.
	must(t, bucket.EnsureJobs(f.context(), js, damrey.DefaultPrefix, "v", bucket.Limits{Messages: 2}))
	sink := f.instance(damrey.Config{Name: "v"})
	handled := make(chan struct{})
	sink.Handle("z", func(context.Context, damrey.Msg) (damrey.Msg, error) { close(handled); return nil, nil })
	f.serve(sink)
	must(t, src.With(damrey.WithID("one")).Send(f.context(), "z"))
	<-handled
	err := src.With(damrey.WithID("two")).Send(f.context(), "z")
	if !errors.Is(err, damrey.ErrFull) || !strings.Contains(err.Error(), "each id counts as one message more there, until the route's window is over (src→z→v)") {
		t.Errorf("a second id of two: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := src.Send(ctx, "y"); !errors.Is(err, damrey.ErrNotStored) {
		t.Errorf("without a stream: %v", err)
	}
}

// A slow second worker is no failure of the first: its messages wait, however long that lasts.
func TestDurable_WaitsForRoomAtTheNextHop(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	soon := damrey.Command{Name: "x", Worker: "w", Delivery: damrey.Durable, Attempts: 2, Backoff: damrey.Duration(10 * time.Millisecond)}
	f.register("src", soon)
	f.register("w", durably("y", "v"))
	f.register("v")
	js := f.jobs("w")
	must(t, bucket.EnsureJobs(f.context(), js, damrey.DefaultPrefix, "v", bucket.Limits{Messages: 1}))
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.Msg{damrey.REQUEST, "y", in.Arg(0)}, nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for n := range 3 {
		must(t, src.Send(f.context(), "x", strconv.Itoa(n)))
	}
	eventually(t, "two wait for longer than their attempts", func() bool {
		notes := tried(t, js, "w")
		return len(notes) == 2 && !slices.ContainsFunc(notes, func(note string) bool {
			var n struct{ Failures, Held int }
			return json.Unmarshal([]byte(note), &n) != nil || n.Failures > 0 || n.Held < 4
		})
	})
	var e effects
	f.worker("v", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { e.add(in.Arg(0)); return nil, nil })
	eventually(t, "all are handled", func() bool { return e.len() == 3 })
	if n := stored(t, js, "DAMREY_DEAD"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

func TestDurable_StopHandsBack(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 2})
	js := f.jobs("w")
	var e effects
	first := f.instance(damrey.Config{Name: "w"}, damrey.WithDrainTime(0))
	began := make(chan struct{}, 100)
	first.Handle("*", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	f.serve(first)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for i := range 20 {
		must(t, src.Send(f.context(), "x", fmt.Sprint(i)))
	}
	await(t, "one is handled", began)
	second := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { e.add(in.Arg(0)); return nil, nil })
	first.Stop()
	eventually(t, "the other does all", func() bool { return e.len() == 20 })
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	if s := second.Stats(); s.Dead != 0 || s.Postponed != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDurable_AnIDIsStoredOnce(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("pay", "w"), to("now", "w"))
	f.register("w")
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	order := src.With(damrey.WithID("order 42"))
	for range 5 {
		must(t, order.Send(f.context(), "pay", "7"))
	}
	must(t, order.SendAsync(f.context(), "pay", "7").Wait(f.context()))
	if err := order.Send(f.context(), "pay", "8"); !errors.Is(err, damrey.ErrIDConflict) {
		t.Errorf("another content: %v", err)
	}
	if _, err := order.Request(f.context(), "pay", "8"); !errors.Is(err, damrey.ErrIDConflict) {
		t.Errorf("another content, asked: %v", err)
	}
	if err := order.Send(f.context(), "now"); !errors.Is(err, damrey.ErrNotStored) {
		t.Errorf("on a direct route: %v", err)
	}
	for id, says := range map[string]string{
		"": "the id is empty", " x ": `" x ": a space at its beginning or end`, "\xff": `"\xff": is no UTF-8`,
		strings.Repeat("a", 257): "257 bytes, at most 256", "..": "a URL cannot end with it",
	} {
		for how, opts := range map[string][]damrey.SendOption{"now": {damrey.WithID(id)}, "later": {damrey.WithID(id), damrey.WithDelay(time.Hour)}} {
			if err := src.With(opts...).Send(f.context(), "pay"); !errors.Is(err, damrey.ErrNotStored) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s with the id %.10q: %v", how, id, err)
			}
		}
	}
	if err := src.With(damrey.WithID("a\nb")).Send(f.context(), "pay"); !errors.Is(err, damrey.ErrNotStored) {
		t.Errorf("a line feed in it: %v", err)
	}
	if s := src.Stats(); s.Deduplicated != 5 {
		t.Errorf("%d were stored before, not 5", s.Deduplicated)
	}
	waiting := func() uint64 {
		c, err := js.Consumer(t.Context(), "DAMREY_JOBS_w", "work")
		must(t, err)
		return c.CachedInfo().NumPending
	}
	if n := waiting(); n != 1 {
		t.Fatalf("%d wait, 1 should", n)
	}
	ids := make(chan string, 10)
	f.worker("w", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
		ids <- damrey.MessageID(ctx)
		return damrey.Reply("paid"), nil
	})
	if id := await(t, "the message", ids); id != "order 42" {
		t.Errorf("the handler sees id %q", id)
	}
	eventually(t, "it is done", func() bool { return waiting() == 0 })

	// JetStream forgets the ids of a work queue when the server restarts and the
	// message is done; this one holds.
	f.restart()
	eventually(t, "stored before", func() bool { return order.Send(f.context(), "pay", "7") == nil })
	if n := src.Stats().Deduplicated; n != 6 {
		t.Errorf("%d were stored before, not 6", n)
	}
	got, err := src.With(damrey.WithID("order 43")).Request(f.context(), "pay", "1")
	must(t, err)
	if got.Arg(0) != "paid" || await(t, "the message", ids) != "order 43" {
		t.Errorf("got %q", got)
	}
	if len(ids) != 0 {
		t.Errorf("%s ran too", <-ids)
	}
}

// A job that is handed back again and again by instances that stop has neither
// failed nor died.
func TestDurable_HandingBackIsNoDeath(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"), to("now", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 1})
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x", "stored"))
	for range 30 {
		began := make(chan struct{}, 1)
		w := f.instance(damrey.Config{Name: "w"}, damrey.WithDrainTime(0))
		w.Handle("*", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
			began <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		f.serve(w)
		await(t, "the job", began)
		w.Stop()
	}
	done := make(chan string, 1)
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { done <- in.Arg(0); return nil, nil })
	if got := await(t, "the job", done); got != "stored" {
		t.Errorf("got %q", got)
	}
	eventually(t, "it is done", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	if s := w.Stats(); s.Dead != 0 {
		t.Errorf("%+v", s)
	}
}

// What an instance has in hand when its worker is deleted is finished along the
// row that there was: it did not fail.
func TestDurable_DeletedWorkerFinishesWhatItHas(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "mid"))
	f.register("mid", durably("y", "end"))
	f.register("end")
	f.jobs("mid", "end")
	began, finish := make(chan struct{}, 10), make(chan struct{})
	mid := f.worker("mid", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		began <- struct{}{}
		<-finish
		return damrey.NewRequest("y", in.Args()...), nil
	})
	ended := make(chan struct{}, 10)
	f.worker("end", func(context.Context, damrey.Msg) (damrey.Msg, error) { ended <- struct{}{}; return nil, nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x", "1"))
	await(t, "the handler begins", began)
	must(t, f.kv.Delete(f.context(), "mid"))
	eventually(t, "the instance knows", func() bool {
		_, err := mid.Request(f.context(), "y")
		return errors.Is(err, damrey.ErrNoRoute)
	})
	close(finish)
	await(t, "the output reaches the end", ended)
	if failed := mid.Stats().Failed; failed != 0 {
		t.Errorf("%d failed", failed)
	}
}

// A cluster says of a message that is stored again while the first is on its
// way: duplicate message id is in process. It may fail yet, so it is asked again,
// as after no answer at all, and always under the same id.
func TestDurable_AsksAgainWhileTheFirstIsInProcess(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	ids := make(chan string, 100)
	asked := 0
	_, err := f.nc.Subscribe("damrey.job.w.x.src", func(m *nats.Msg) {
		ids <- m.Header.Get(damrey.HeaderID)
		switch asked++; asked {
		case 1:
			must(t, m.Respond([]byte(`{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"},"stream":"S","seq":0}`)))
		case 2: // is lost
		default:
			must(t, m.Respond([]byte(`{"stream":"S","seq":7,"duplicate":true}`)))
		}
	})
	must(t, err)
	must(t, f.nc.Flush())
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x", "1"))
	if n := src.Stats().Deduplicated; n != 1 {
		t.Errorf("%d deduplicated", n)
	}
	first := <-ids
	for range 2 {
		if id := <-ids; id == "" || id != first {
			t.Errorf("tried again under id %q, and first under %q", id, first)
		}
	}
}
