package damrey_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
)

// pausedAt checks that err is a refusal on a route and says what to type.
func pausedAt(t *testing.T, err error, route, advice string) {
	t.Helper()
	if !errors.Is(err, damrey.ErrPaused) || !strings.Contains(err.Error(), route) || !strings.Contains(err.Error(), "`"+advice+"`") {
		t.Errorf("got %v, want ErrPaused on %s with %s", err, route, advice)
	}
}

// isPaused waits until asking along a route is refused.
func isPaused(t *testing.T, f *fabric, w *damrey.Instance, typ string) error {
	t.Helper()
	var err error
	eventually(t, "it is paused", func() bool {
		_, err = w.Request(f.context(), typ)
		return errors.Is(err, damrey.ErrPaused)
	})
	return err
}

func TestPause_WorkerRefusesDirectMessagesUntilResumed(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	batched := to("many", "w")
	batched.Batch = 8
	f.register("src", to("x", "w"), batched)
	f.register("w")
	var handled atomic.Int64
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		handled.Add(1)
		return damrey.Reply(in.Args()...), nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	_, err := src.Request(f.context(), "x")
	must(t, err)

	f.put(damrey.Registration{Name: "w", Paused: true})
	err = isPaused(t, f, src, "x")
	pausedAt(t, err, "src→x→w", "damrey worker resume w")
	if e, ok := errors.AsType[*damrey.ReplyError](err); !ok || e.Code != "paused" || e.Where != "src→x→w" {
		t.Errorf("%#v", err)
	}
	before, seen := w.Stats().Paused, handled.Load()
	for range 20 {
		must(t, src.Send(f.context(), "x"))
		must(t, src.Send(f.context(), "many"))
	}
	must(t, src.Flush(f.context()))
	eventually(t, "the sends are counted", func() bool { return w.Stats().Paused == before+40 })
	if n := handled.Load(); n != seen {
		t.Errorf("%d messages were handled while paused", n-seen)
	}

	f.register("w")
	eventually(t, "it is resumed", func() bool { _, err := src.Request(f.context(), "x"); return err == nil })
}

func TestPause_WorkerThatStartsPausedIsReadyAndResumes(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"), durably("job", "w"))
	f.put(damrey.Registration{Name: "w", Paused: true})
	js := f.jobs("w")
	var e effects
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { e.add(in.Arg(0)); return nil, nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "job", "1"))
	_, err := src.Request(f.context(), "x", "2")
	pausedAt(t, err, "src→x→w", "damrey worker resume w")
	if e.len() != 0 || stored(t, js, "DAMREY_JOBS_w") != 1 {
		t.Error("a stored message was taken while paused")
	}
	f.register("w")
	eventually(t, "the stored message is handled", func() bool { return e.len() == 1 })
}

func TestPause_StoredMessagesWaitAndAreHandledOnce(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"), durably("job", "w"))
	f.register("w")
	js := f.jobs("w")
	var e effects
	began, finish := make(chan struct{}, 1), make(chan struct{})
	handle := func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Arg(0) == "first" {
			began <- struct{}{}
			<-finish
		}
		e.add(in.Arg(0))
		return damrey.Reply(in.Arg(0)), nil
	}
	instances := []*damrey.Instance{f.worker("w", handle), f.worker("w", handle)}
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "job", "first"))
	await(t, "the first is in hand", began)

	f.put(damrey.Registration{Name: "w", Paused: true})
	for _, w := range instances {
		eventually(t, "each instance knows", func() bool {
			_, _ = src.Request(f.context(), "x") // refused by whichever gets it, or answered still
			return w.Stats().Paused > 0
		})
	}
	const n = 200
	for i := range n {
		must(t, src.Send(f.context(), "job", fmt.Sprint(i)))
	}
	answer := make(chan damrey.Msg, 1)
	go func() {
		m, err := src.Request(f.context(), "job", "asked")
		if err != nil {
			t.Errorf("a stored request: %v", err)
		}
		answer <- m
	}()
	eventually(t, "all are stored", func() bool { return stored(t, js, "DAMREY_JOBS_w") == n+2 })
	// A pull that is still known to the broker would take some of them.
	consumer, err := js.Consumer(f.context(), "DAMREY_JOBS_w", "work")
	must(t, err)
	eventually(t, "nobody pulls", func() bool {
		info, err := consumer.Info(f.context())
		must(t, err)
		return info.NumWaiting == 0
	})
	close(finish)
	eventually(t, "what was in hand is finished and removed", func() bool { return stored(t, js, "DAMREY_JOBS_w") == n+1 })
	e.mu.Lock()
	for what := range e.seen {
		if what != "first" && what != "" {
			t.Errorf("%s was handled while paused", what)
		}
	}
	e.seen = nil
	e.mu.Unlock()

	f.register("w")
	if m := await(t, "the stored request's answer", answer); m.Arg(0) != "asked" {
		t.Errorf("answered %q", m)
	}
	eventually(t, "all are handled and removed", func() bool { return e.len() == n+1 && stored(t, js, "DAMREY_JOBS_w") == 0 })
	for what, times := range e.seen {
		if times != 1 {
			t.Errorf("%s was handled %d times", what, times)
		}
	}
	for _, w := range instances {
		if s := w.Stats(); s.Dead != 0 || s.Postponed != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// Pausing and resuming while messages come neither loses one nor runs one twice.
func TestPause_OftenUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("job", "w"))
	f.register("w")
	js := f.jobs("w")
	var e effects
	handle := func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { e.add(in.Arg(0)); return nil, nil }
	w := f.worker("w", handle)
	f.worker("w", handle)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const rounds, each = 15, 40
	for round := range rounds {
		f.put(damrey.Registration{Name: "w", Paused: round%2 == 0})
		for i := range each {
			must(t, src.SendAsync(f.context(), "job", fmt.Sprint(round, " ", i)).Wait(f.context()))
		}
	}
	f.register("w")
	eventually(t, "all are handled and removed", func() bool {
		return e.len() == rounds*each && stored(t, js, "DAMREY_JOBS_w") == 0
	})
	for what, times := range e.seen {
		if times != 1 {
			t.Errorf("%s was handled %d times", what, times)
		}
	}
	if s := w.Stats(); s.Dead != 0 {
		t.Errorf("%+v", s)
	}
}

func paused(c damrey.Command) damrey.Command { c.Paused = true; return c }

func TestPause_RouteIsRefusedAtTheSender(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", paused(to("x", "w")), to("y", "w"), paused(to("*", "w")))
	f.register("w")
	w := f.worker("w", echo)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	m, err := src.Request(f.context(), "x")
	pausedAt(t, err, "src→x→w", "damrey route resume src x")
	if _, ok := errors.AsType[*damrey.ReplyError](err); !ok || m.Tag() != damrey.ERROR || m.Arg(1) != "damrey:paused" {
		t.Errorf("%q, %#v", m, err)
	}
	pausedAt(t, src.Send(f.context(), "x"), "src→x→w", "damrey route resume src x")
	pausedAt(t, src.SendAsync(f.context(), "x").Wait(f.context()), "src→x→w", "damrey route resume src x")
	pausedAt(t, src.Send(f.context(), "z"), "src→z→w", "damrey route resume src '*'")
	rch := make(chan []string, 1)
	src.SendChannel() <- &damrey.Message{Msg: damrey.NewRequest("x"), Rch: rch}
	if got := await(t, "the answer on Rch", rch); damrey.Msg(got).Arg(1) != "damrey:paused" {
		t.Errorf("Rch got %q", got)
	}
	_, err = src.Request(f.context(), "y")
	must(t, err)
	if got, refused := w.Stats().Received, src.Stats().Paused; got != 1 || refused != 5 {
		t.Errorf("w got %d messages, src refused %d", got, refused)
	}
	f.register("src", to("x", "w"), to("*", "w"))
	eventually(t, "it is resumed", func() bool { return src.Send(f.context(), "x") == nil })
	must(t, src.Send(f.context(), "z"))
	must(t, src.Flush(f.context()))
}

func TestPause_RouteInTheMiddleOfALine(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	on := func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.NewRequest("next"), nil }
	f.register("src", to("x", "w"), durably("job", "w"))
	f.register("w", paused(to("next", "last")))
	f.register("last")
	js := f.jobs("w")
	w := f.worker("w", on)
	last := f.worker("last", echo)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	_, err := src.Request(f.context(), "x")
	pausedAt(t, err, "w→next→last", "damrey route resume w next")
	must(t, src.Send(f.context(), "x"))
	eventually(t, "the send is counted where it ended", func() bool { return w.Stats().Paused == 2 })

	// A job that cannot go on has not failed, however often it looks.
	must(t, src.Send(f.context(), "job"))
	eventually(t, "it has looked more often than it may fail", func() bool { return w.Stats().Postponed > damrey.DefaultAttempts })
	f.register("w", to("next", "last"))
	eventually(t, "it went on", func() bool { return last.Stats().Received == 1 && stored(t, js, "DAMREY_JOBS_w") == 0 })
	if s := w.Stats(); s.Dead != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPause_Bridge(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", paused(to("x", "w")), to("y", "held"), durably("job", "held"))
	f.register("w")
	f.put(damrey.Registration{Name: "held", Paused: true})
	js := f.jobs("held")
	f.worker("w", echo)
	held := f.worker("held", echo)
	b := f.bridge()
	for typ, want := range map[string]string{
		"x": "`damrey route resume src x`\",\"damrey:paused\",\"src→x→w\"]",
		"y": "`damrey worker resume held`\",\"damrey:paused\",\"src→y→held\"]",
	} {
		if got := f.ask("damrey.out.src."+typ, ""); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", typ, got)
		}
		m := nats.NewMsg("damrey.out.src." + typ)
		m.Header.Set(damrey.HeaderSend, damrey.SendConfirm)
		answer, err := f.nc.RequestMsg(m, patience)
		must(t, err)
		if !strings.HasSuffix(string(answer.Data), want) {
			t.Errorf("a confirmed send of %s: %s", typ, answer.Data)
		}
		must(t, f.nc.Publish("damrey.out.src."+typ, nil))
	}
	eventually(t, "the sends are counted", func() bool { return b.Stats().Undelivered == 2 && b.Stats().Paused == 6 })
	must(t, f.nc.Publish("damrey.out.src.job", nil))
	eventually(t, "a durable one is stored", func() bool { return stored(t, js, "DAMREY_JOBS_held") == 1 })
	f.register("held")
	eventually(t, "it is handled when resumed", func() bool { return held.Stats().Handled == 1 && stored(t, js, "DAMREY_JOBS_held") == 0 })
}

// Messages of a durable route that is paused are stored and wait, also while
// the worker's stream is full of them; the others go on.
func TestPause_DurableRouteWaits(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"), durably("y", "w"), durably("a", "w"))
	f.register("w")
	js := f.jobs("w")
	limits := bucket.Limits{Messages: 50}
	must(t, bucket.EnsureJobs(f.context(), js, damrey.DefaultPrefix, "w", limits))
	var e effects
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		e.add(in.Arg(0))
		return damrey.Reply(in.Arg(0)), nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x", "before"))
	eventually(t, "it is handled", func() bool { return e.len() == 1 })

	f.register("src", paused(durably("x", "w")), durably("y", "w"), durably("a", "w"))
	held := func() uint64 {
		n, err := bucket.Held(f.context(), js, damrey.DefaultPrefix, "w")
		must(t, err)
		return n["x.src"]
	}
	sent := 0
	eventually(t, "messages wait", func() bool {
		must(t, src.Send(f.context(), "x", fmt.Sprint(sent)))
		sent++
		return held() > 0
	})
	id := src.With(damrey.WithID("once"))
	must(t, id.Send(f.context(), "x", "once"))
	must(t, id.Send(f.context(), "x", "once"))
	must(t, src.Send(f.context(), "y", "beside"))
	eventually(t, "what is not paused is handled", func() bool { return e.len() == 1+sent-int(held())+1+1 })
	var full error
	for n := 0; full == nil; n++ {
		if full = src.Send(f.context(), "x", fmt.Sprint("more-", n)); full == nil {
			sent++
		}
	}
	if !errors.Is(full, damrey.ErrFull) {
		t.Fatal(full)
	}
	waiting := int(held())

	f.register("src", durably("x", "w"), durably("y", "w"), durably("a", "w"))
	moved := 0
	eventually(t, "all go on", func() bool {
		n, err := bucket.Resume(f.context(), js, damrey.DefaultPrefix, "w", "x.src", limits)
		must(t, err)
		moved += n
		return e.len() == 1+sent+1+1
	})
	if moved < waiting {
		t.Errorf("%d moved of %d", moved, waiting)
	}
	must(t, id.Send(f.context(), "x", "once"))
	must(t, src.Send(f.context(), "y", "last"))
	eventually(t, "the last one is handled", func() bool { return e.len() == 1+sent+1+1+1 })
	for what, times := range e.seen {
		if times != 1 {
			t.Errorf("%s was handled %d times", what, times)
		}
	}
	s, err := js.Stream(f.context(), "DAMREY_JOBS_w")
	must(t, err)
	if got := s.CachedInfo().Config.MaxMsgs; got != limits.Messages {
		t.Errorf("the stream's limit is %d afterwards", got)
	}
}
