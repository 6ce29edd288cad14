package damrey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// handOut gives the jobs of w, so many, to somebody who takes them n times and never says what became of them.
func handOut(t *testing.T, js jetstream.JetStream, jobs, n int) {
	t.Helper()
	work, err := js.Consumer(t.Context(), "DAMREY_JOBS_w", "work")
	must(t, err)
	for range n {
		var all []jetstream.Msg
		for range jobs {
			m, err := work.Next(jetstream.FetchMaxWait(patience))
			must(t, err)
			all = append(all, m)
		}
		for _, m := range all {
			must(t, m.Nak())
		}
	}
}

// mortal dials for an instance. Once it is dead nothing leaves it.
type mortal struct {
	mu   sync.Mutex // guards what follows
	dead bool
	conn net.Conn
}

func (m *mortal) Dial(network, address string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errors.New("it is dead")
	}
	var err error
	m.conn, err = net.Dial(network, address)
	return m.conn, err
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	_ = m.conn.Close() // it may be closed
}

// noteOf is the last note of w's job of that sequence, as those who keep such notes have it.
func noteOf(t *testing.T, js jetstream.JetStream, sequence uint64) (note map[string]any) {
	t.Helper()
	tried, err := js.Stream(t.Context(), "DAMREY_TRIED")
	must(t, err)
	m, err := tried.GetLastMsgForSubject(t.Context(), fmt.Sprintf("damrey.tried.w.%d", sequence))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	must(t, err)
	must(t, json.Unmarshal(m.Data, &note))
	return note
}

// A job that came again and again and whose instances died each time after they had begun it goes to the dead letters
// before it is looked at. Those that were in the same hands are handled, and none runs beside it.
func TestDurable_WhatKillsItsInstancesIsADeadLetter(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 5})
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const all = 5
	for _, arg := range []string{"deadly", "1", "2", "3", "4"} {
		must(t, src.Send(f.context(), "x", arg))
	}
	handOut(t, js, all, 10)
	work, err := js.Consumer(t.Context(), "DAMREY_JOBS_w", "work")
	must(t, err)
	soon := work.CachedInfo().Config
	soon.AckWait = 500 * time.Millisecond // what a dead one had comes soon
	_, err = js.UpdateConsumer(t.Context(), "DAMREY_JOBS_w", soon)
	must(t, err)

	var e effects
	want := all - 1
	for death := 1; death <= 10; death++ {
		for range 3 {
			must(t, src.Send(f.context(), "x", strconv.Itoa(want+1)))
			want++
		}
		var link mortal
		w := f.instance(damrey.Config{Name: "w"}, damrey.WithDrainTime(0), damrey.WithConnect(damrey.ConnectConfig{
			URL: f.srv.ClientURL(), Options: []nats.Option{nats.SetCustomDialer(&link)},
		}))
		died := make(chan struct{})
		var running atomic.Int32
		w.Handle("*", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
			running.Add(1)
			defer running.Add(-1)
			if in.Arg(0) != "deadly" {
				time.Sleep(5 * time.Millisecond) // so that it would be seen
				e.add(in.Arg(0))
				return nil, nil
			}
			if note := noteOf(t, js, 1); note["begun"] != float64(death) {
				t.Errorf("it was begun %d times; noted is %v", death, note)
			}
			for range 10 { // time enough for others to begin beside it
				if n := running.Load(); n != 1 {
					t.Errorf("%d run together with it", n-1)
				}
				time.Sleep(2 * time.Millisecond)
			}
			link.die()
			close(died)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		f.serve(w)
		await(t, "it dies", died)
		go w.Stop() // of what is left of it
	}

	f.worker("w", e.handle)
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	if n := stored(t, js, "DAMREY_DEAD"); e.has("deadly") || e.len() != want || n != 1 {
		t.Errorf("handled: %v; %d dead letters", e.seen, n)
	}
	dead, err := js.Stream(t.Context(), "DAMREY_DEAD")
	must(t, err)
	m, err := dead.GetLastMsgForSubject(t.Context(), "damrey.dead.w.x.src")
	must(t, err)
	why := m.Header.Get(damrey.HeaderDeadError)
	if string(m.Data) != `["REQUEST","x","deadly"]` || !strings.Contains(why, "and failed 0 times; begun alone 10 times in a row") {
		t.Errorf("the letter has %s and says %q", m.Data, why)
	}
}

// A job that came again and again and was never begun is handled, and noted before only when it came often.
func TestDurable_WhatWasNeverBegunKillsNobody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		handouts int
		begun    any
	}{{5, nil}, {9, nil}, {10, 1.0}, {40, 1.0}} {
		f := newFabric(t)
		f.register("src", durably("x", "w"))
		f.register("w")
		js := f.jobs("w")
		src := f.serve(f.instance(damrey.Config{Name: "src"}))
		must(t, src.Send(f.context(), "x", "slow"))
		handOut(t, js, 1, c.handouts)
		var e effects
		f.worker("w", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
			if note := noteOf(t, js, 1); note["begun"] != c.begun {
				t.Errorf("handed out %d times, noted is %v", c.handouts, note)
			}
			return e.handle(ctx, in)
		})
		eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
		if e.seen["slow"] != 1 || stored(t, js, "DAMREY_DEAD") != 0 {
			t.Errorf("handed out %d times it ran %d times, %d are dead", c.handouts, e.seen["slow"], stored(t, js, "DAMREY_DEAD"))
		}
	}
}

// What comes often, and cannot be read at last, is a dead letter; what fails has not killed, and is as others then.
func TestDurable_AWatchedJobEndsAsOthersDo(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	row := durably("x", "w")
	row.Attempts = 3
	f.register("src", row)
	f.register("w")
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x"))
	_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "damrey.job.w.x.src", Data: []byte(`["REQUEST"`), Header: nats.Header{damrey.HeaderID: {"broken"}}})
	must(t, err)
	handOut(t, js, 2, 15)
	var ran atomic.Int64
	f.worker("w", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		note, attempt := noteOf(t, js, 1), ran.Add(1)
		if watched := note["begun"] == 1.0; watched != (attempt == 1) || note["failures"] != float64(attempt-1) {
			t.Errorf("before attempt %d noted is %v", attempt, note)
		}
		return damrey.Fail("no stock"), nil
	})
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	if dead := stored(t, js, "DAMREY_DEAD"); ran.Load() != 3 || dead != 2 {
		t.Errorf("it ran %d times; %d dead letters", ran.Load(), dead)
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
