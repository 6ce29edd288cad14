package damrey_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// handOut gives the first job of w to somebody who takes it n times and never says what became of it.
func handOut(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	work, err := js.Consumer(t.Context(), "DAMREY_JOBS_w", "work")
	must(t, err)
	for range n {
		m, err := work.Next(jetstream.FetchMaxWait(patience))
		must(t, err)
		must(t, m.Nak())
	}
}

// A job that came again and again and never failed has killed those who had it. It goes to the dead letters before
// it is looked at; one that came again a few times is handled.
func TestDurable_WhatKillsItsInstancesIsADeadLetter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		handouts int
		dead     bool
	}{{5, false}, {20, true}} {
		f := newFabric(t)
		f.register("src", durably("x", "w"))
		f.register("w")
		js := f.jobs("w")
		src := f.serve(f.instance(damrey.Config{Name: "src"}))
		must(t, src.Send(f.context(), "x", "deadly"))
		handOut(t, js, c.handouts)
		var ran atomic.Int64
		w := f.worker("w", func(context.Context, damrey.Msg) (damrey.Msg, error) { ran.Add(1); return nil, nil })
		eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
		if !c.dead {
			if ran.Load() != 1 || w.Stats().Dead != 0 {
				t.Errorf("handed out %d times it ran %d times, %d are dead", c.handouts, ran.Load(), w.Stats().Dead)
			}
			continue
		}
		dead, err := js.Stream(t.Context(), "DAMREY_DEAD")
		must(t, err)
		m, err := dead.GetLastMsgForSubject(t.Context(), "damrey.dead.w.x.src")
		must(t, err)
		if why := m.Header.Get(damrey.HeaderDeadError); ran.Load() != 0 || !strings.Contains(why, "handed out 21 times and failed 0 times") {
			t.Errorf("it ran %d times; the letter says %q", ran.Load(), why)
		}
	}
}

// An answer of a stored message that is too large is an ERROR to who asked; an output that is, is a dead letter too.
func TestDurable_AnOutputThatIsTooLargeIsSaid(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("answer", "w"), durably("forward", "w"))
	f.register("w", durably("on", "end"))
	js := f.jobs("w", "end")
	big := strings.Repeat("x", 1<<20)
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Type() == "answer" {
			return damrey.Reply(big), nil
		}
		return damrey.NewRequest("on", big), nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for _, typ := range []string{"answer", "forward"} {
		if _, err := src.Request(f.context(), typ); !errors.Is(err, damrey.ErrTooLarge) || !strings.Contains(err.Error(), "max_payload of 1048576") {
			t.Errorf("%s: %v", typ, err)
		}
	}
	must(t, src.Send(f.context(), "forward"))
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	dead, err := js.Stream(t.Context(), "DAMREY_DEAD")
	must(t, err)
	m, err := dead.GetLastMsgForSubject(t.Context(), "damrey.dead.w.forward.src")
	must(t, err)
	if why := m.Header.Get(damrey.HeaderDeadError); dead.CachedInfo().State.Msgs != 2 || !strings.Contains(why, "max_payload of 1048576") {
		t.Errorf("%d letters, the last says %q", dead.CachedInfo().State.Msgs, why)
	}
}

// A job that is stored and handled once more, as after a restart of the broker, has the output that it had.
func TestDurable_AnOutputIsStoredOnceThoughItsJobRunsTwice(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.register("w", durably("y", "end"))
	js := f.jobs("w", "end")
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.NewRequest("y", in.Args()...), nil
	})
	job := func() {
		_, err := js.PublishMsg(f.context(), &nats.Msg{
			Subject: "damrey.job.w.x.src", Data: []byte(`["REQUEST","x"]`), Header: nats.Header{damrey.HeaderID: {"parent"}},
		})
		must(t, err)
	}
	job()
	eventually(t, "its output is stored", func() bool { return stored(t, js, "DAMREY_JOBS_end") == 1 })
	eventually(t, "it is done", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	f.restart() // makes JetStream forget the id of what is done
	eventually(t, "the broker is back", func() bool { return f.nc.IsConnected() && f.nc.Stats().Reconnects == 1 })
	job()
	eventually(t, "it ran again, and its output was known", func() bool { s := w.Stats(); return s.Jobs == 2 && s.Deduplicated == 1 })
	if n := stored(t, js, "DAMREY_JOBS_end"); n != 1 {
		t.Errorf("%d outputs are stored", n)
	}
}
