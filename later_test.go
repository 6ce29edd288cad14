package damrey_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// mover runs a mover with a live table until the end of the test or stop.
func (f *fabric) mover() (stop func()) {
	f.t.Helper()
	nc := f.connect(nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	js, err := jetstream.New(nc)
	must(f.t, err)
	log := zerolog.New(zerolog.NewTestWriter(f.t)).Level(zerolog.WarnLevel)
	watcher := damrey.NewWatcher(nc, damrey.WatchConfig{Log: log})
	m := damrey.NewMover(js, damrey.MoverConfig{Name: "test", Table: watcher.Table, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- watcher.Run(ctx) }()
	go func() { done <- m.Run(ctx) }()
	var stopped atomic.Bool
	stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				f.t.Errorf("mover: %v", err)
			}
		}
	}
	f.t.Cleanup(stop)
	await(f.t, "ready", m.Ready())
	return stop
}

// arrivals are the messages that a worker was called with.
type arrivals chan arrival

type arrival struct {
	msg damrey.Msg
	id  string
	at  time.Time
}

func (a arrivals) handle(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
	a <- arrival{in, damrey.MessageID(ctx), time.Now()}
	return nil, nil
}

func (a arrivals) next(t *testing.T) arrival {
	t.Helper()
	select {
	case got := <-a:
		return got
	case <-time.After(patience):
		t.Fatal("nothing arrived")
		return arrival{}
	}
}

func (a arrivals) none(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case got := <-a:
		t.Fatalf("%q arrived", got.msg)
	case <-time.After(within):
	}
}

func TestLater_ArrivesOnceAndNotBeforeItsTime(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("job", "w"), to("now", "w"))
	f.register("w")
	f.jobs("w")
	f.mover()
	f.mover()
	got := make(arrivals, 10)
	f.worker("w", got.handle)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for _, typ := range []string{"job", "now"} {
		due := time.Now().Add(1500 * time.Millisecond)
		must(t, src.With(damrey.WithDelay(1500*time.Millisecond), damrey.WithID("a b.c/"+typ)).Send(f.context(), typ, "x"))
		in := got.next(t)
		if in.at.Before(due) || in.msg.Type() != typ || in.msg.Arg(0) != "x" {
			t.Errorf("%q at %v, due at %v", in.msg, in.at, due)
		}
		if want := map[string]string{"job": "a b.c/job"}[typ]; in.id != want {
			t.Errorf("id %q, want %q", in.id, want)
		}
		at := time.Now().Add(time.Second)
		must(t, src.With(damrey.WithAt(at)).SendAsync(f.context(), typ, "at").Wait(f.context()))
		if in := got.next(t); in.at.Before(at) || in.msg.Arg(0) != "at" {
			t.Errorf("%q at %v, due at %v", in.msg, in.at, at)
		}
	}
	must(t, src.With(damrey.WithDelay(0)).Send(f.context(), "now", "0"))
	if in := got.next(t); in.msg.Arg(0) != "0" {
		t.Errorf("%q", in.msg)
	}
	got.none(t, time.Second)
}

// laterFabric serves a sender src with one mover, one durable route job and one direct
// route now to w.
func laterFabric(t *testing.T) (f *fabric, src *damrey.Instance, js jetstream.JetStream) {
	t.Helper()
	f = newFabric(t)
	f.register("src", durably("job", "w"), to("now", "w"))
	f.register("w")
	js = f.jobs("w")
	f.mover()
	return f, f.serve(f.instance(damrey.Config{Name: "src"})), js
}

func TestLater_SurvivesARestartOfTheBroker(t *testing.T) {
	t.Parallel()
	f, src, _ := laterFabric(t)
	got := make(arrivals, 10)
	f.worker("w", got.handle)
	due := time.Now().Add(2 * time.Second)
	must(t, src.With(damrey.WithAt(due)).Send(f.context(), "job", "kept"))
	f.restart()
	if in := got.next(t); in.msg.Arg(0) != "kept" || in.at.Before(due) {
		t.Errorf("%q at %v, due at %v", in.msg, in.at, due)
	}
	must(t, src.With(damrey.WithDelay(0)).Send(f.context(), "job", "after"))
	if in := got.next(t); in.msg.Arg(0) != "after" {
		t.Errorf("%q", in.msg)
	}
	got.none(t, time.Second)
}

func TestLater_CanBeCancelled(t *testing.T) {
	t.Parallel()
	f, src, _ := laterFabric(t)
	got := make(arrivals, 10)
	f.worker("w", got.handle)
	must(t, src.With(damrey.WithDelay(2*time.Second), damrey.WithID("order 42.a")).Send(f.context(), "job", "never"))
	must(t, src.Cancel(f.context(), "order 42.a"))
	for _, id := range []string{"order 42.a", "other"} {
		if err := src.Cancel(f.context(), id); !errors.Is(err, damrey.ErrNotScheduled) || !strings.Contains(err.Error(), id) {
			t.Errorf("%v", err)
		}
	}
	if err := src.Cancel(f.context(), ""); err == nil || errors.Is(err, damrey.ErrNotScheduled) {
		t.Errorf("an empty id: %v", err)
	}
	// The same again is not taken for what was cancelled.
	must(t, src.With(damrey.WithDelay(2*time.Second), damrey.WithID("order 42.a")).Send(f.context(), "job", "never"))
	must(t, src.Cancel(f.context(), "order 42.a"))
	must(t, src.With(damrey.WithDelay(3*time.Second)).Send(f.context(), "job", "last"))
	if in := got.next(t); in.msg.Arg(0) != "last" {
		t.Errorf("%q was cancelled", in.msg)
	}
}

func TestLater_AnIDIsStoredOnceWhileItWaits(t *testing.T) {
	t.Parallel()
	f, src, js := laterFabric(t)
	send := func(id string, d time.Duration, typ, arg string) error {
		return src.With(damrey.WithDelay(d), damrey.WithID(id)).Send(f.context(), typ, arg)
	}
	for range 3 {
		must(t, send("a", time.Hour, "job", "1"))
	}
	if got := stored(t, js, "DAMREY_LATER"); got != 1 {
		t.Errorf("%d stored", got)
	}
	for what, err := range map[string]error{
		"argument": send("a", time.Hour, "job", "2"),
		"type":     send("a", time.Hour, "now", "1"),
		"delay":    send("a", time.Minute, "job", "1"),
		"time":     src.With(damrey.WithAt(time.Now().Add(time.Hour)), damrey.WithID("a")).Send(f.context(), "job", "1"),
	} {
		if !errors.Is(err, damrey.ErrIDConflict) {
			t.Errorf("another %s: %v", what, err)
		}
	}
	must(t, send("b", time.Hour, "job", "1"))
}

func TestLater_BadOptions(t *testing.T) {
	t.Parallel()
	f, src, js := laterFabric(t)
	past := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		opts []damrey.SendOption
		typ  string
		is   error
		says []string
	}{
		{[]damrey.SendOption{damrey.WithDelay(-time.Second)}, "job", damrey.ErrNotStored, []string{"WithDelay(-1s) is negative", "src→job→w"}},
		{[]damrey.SendOption{damrey.WithDelay(400 * 24 * time.Hour)}, "job", damrey.ErrNotStored, []string{"over a year", "8784h"}},
		{[]damrey.SendOption{damrey.WithAt(past)}, "job", damrey.ErrNotStored,
			[]string{past.Format(time.RFC3339Nano), "it is " + time.Now().Format("2006-01-02T"), "leave WithAt out"}},
		{[]damrey.SendOption{damrey.WithAt(time.Now().AddDate(2, 0, 0))}, "now", damrey.ErrNotStored, []string{"over a year away"}},
		{[]damrey.SendOption{damrey.WithAt(past), damrey.WithDelay(1)}, "now", damrey.ErrNotStored, []string{"give one of them"}},
		{[]damrey.SendOption{damrey.WithDelay(1), damrey.WithID("a ")}, "now", damrey.ErrNotStored, []string{"space"}},
		{[]damrey.SendOption{damrey.WithDelay(1), damrey.WithID("a\nb")}, "now", damrey.ErrNotStored, []string{"0x0a at position 2"}},
		{[]damrey.SendOption{damrey.WithDelay(1), damrey.WithID(strings.Repeat("a", 257))}, "now", damrey.ErrNotStored, []string{"257 bytes"}},
		{[]damrey.SendOption{damrey.WithDelay(1)}, "none", damrey.ErrNoRoute, []string{"none"}},
	} {
		err := src.With(c.opts...).Send(f.context(), c.typ)
		if !errors.Is(err, c.is) {
			t.Errorf("%v, not %v", err, c.is)
			continue
		}
		for _, text := range c.says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%v says nothing of %q", err, text)
			}
		}
	}
	if _, err := src.With(damrey.WithDelay(1)).Request(f.context(), "job"); !errors.Is(err, damrey.ErrNotStored) || !strings.Contains(err.Error(), "use Send") {
		t.Errorf("%v", err)
	}
	if got := stored(t, js, "DAMREY_LATER"); got != 0 {
		t.Errorf("%d stored", got)
	}
}

func TestLater_GoesAlongTheRouteOfWhenItIsDue(t *testing.T) {
	t.Parallel()
	f, src, _ := laterFabric(t)
	f.register("v")
	old, now := make(arrivals, 10), make(arrivals, 10)
	f.worker("w", old.handle)
	f.worker("v", now.handle)
	must(t, src.With(damrey.WithDelay(2*time.Second)).Send(f.context(), "job", "1"))
	must(t, src.With(damrey.WithDelay(2*time.Second)).Send(f.context(), "now", "2"))
	f.register("src", to("job", "v"), to("now", "v"))
	for range 2 {
		now.next(t)
	}
	old.none(t, 100*time.Millisecond)
}

func TestLater_WaitsForRoomAtItsTarget(t *testing.T) {
	t.Parallel()
	f, src, js := laterFabric(t)
	f.register("src", damrey.Command{Name: "job", Worker: "w", Delivery: damrey.Durable, Attempts: 50, Backoff: damrey.Duration(100 * time.Millisecond)})
	must(t, bucket.EnsureJobs(f.context(), js, "damrey", "w", bucket.Limits{Messages: 1}))
	must(t, src.Send(f.context(), "job", "first"))
	must(t, src.With(damrey.WithDelay(0)).Send(f.context(), "job", "second"))
	eventually(t, "it was refused", func() bool { return len(tried(t, js, "$due")) == 1 })
	if note := tried(t, js, "$later")[0]; !strings.Contains(note, "damrey: full") {
		t.Errorf("the note says %s", note)
	}
	got := make(arrivals, 10)
	f.worker("w", got.handle)
	for _, want := range []string{"first", "second"} {
		if in := got.next(t); in.msg.Arg(0) != want {
			t.Errorf("%q, want %s", in.msg, want)
		}
	}
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_LATER") == 0 })
}

// tried are the notes under a token.
func tried(t *testing.T, js jetstream.JetStream, token string) (notes []string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "DAMREY_TRIED")
	must(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("damrey.tried."+token+".*"))
	must(t, err)
	for subject := range info.State.Subjects {
		m, err := stream.GetLastMsgForSubject(t.Context(), subject)
		must(t, err)
		notes = append(notes, string(m.Data))
	}
	return notes
}

func TestLater_WhatGoesNowhereIsADeadLetter(t *testing.T) {
	t.Parallel()
	f, src, js := laterFabric(t)
	f.register("src", to("now", "nobody"), to("gone", "w"), damrey.Command{Name: "paused", Worker: "w", Paused: true})
	must(t, src.With(damrey.WithDelay(time.Second), damrey.WithID("a")).Send(f.context(), "now", "1"))
	eventually(t, "the route is there", func() bool {
		return src.With(damrey.WithDelay(time.Second), damrey.WithID("b")).Send(f.context(), "gone", "1") == nil
	})
	must(t, src.With(damrey.WithDelay(0), damrey.WithID("held")).Send(f.context(), "paused", "1"))
	f.register("src", to("now", "nobody"), damrey.Command{Name: "paused", Worker: "w", Paused: true})
	for _, c := range []struct{ subject, id, failures, says string }{
		{"damrey.dead._.gone.src", "b", "3", `worker "src" has no command "gone"`},
		{"damrey.dead.nobody.now.src", "a", "5", "no instance took it"},
	} {
		within(t, 3*patience, c.subject, func() bool { // five attempts on a direct route take up to 23 s
			stream, err := js.Stream(t.Context(), "DAMREY_DEAD")
			must(t, err)
			m, err := stream.GetLastMsgForSubject(t.Context(), c.subject)
			if err != nil {
				return false
			}
			h := m.Header
			if !strings.Contains(h.Get(damrey.HeaderDeadError), c.says) || h.Get(damrey.HeaderOriginalID) != c.id || h.Get(damrey.HeaderDeadFailures) != c.failures {
				t.Errorf("%v", h)
			}
			return true
		})
	}
	// Something paused is no failure, and it goes on when it is resumed.
	got := make(arrivals, 10)
	f.worker("w", got.handle)
	f.register("src", to("paused", "w"))
	if in := got.next(t); in.msg.Type() != "paused" {
		t.Errorf("%q", in.msg)
	}
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_LATER") == 0 })
}

func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, d)
		}
	}
}

// A mover that was killed after it had stored a message leaves it due.
func TestLater_MovedTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("job", "w"))
	f.register("w")
	js := f.jobs("w")
	must(t, bucket.EnsureLater(f.context(), js, "damrey"))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.With(damrey.WithDelay(0), damrey.WithID("named")).Send(f.context(), "job", "1"))
	must(t, src.With(damrey.WithDelay(0)).Send(f.context(), "job", "2"))
	consumer, err := js.Consumer(f.context(), "DAMREY_LATER", bucket.LaterConsumer)
	must(t, err)
	again := func() []jetstream.Msg {
		batch, err := consumer.Fetch(2, jetstream.FetchMaxWait(patience))
		must(t, err)
		var all []jetstream.Msg
		for m := range batch.Messages() {
			all = append(all, m)
		}
		if len(all) != 2 {
			t.Fatalf("%d due, %v", len(all), batch.Error())
		}
		return all
	}
	kept := again()
	for _, m := range kept {
		must(t, m.Nak())
	}
	stop := f.mover()
	eventually(t, "both are stored", func() bool { return jobs(t, js) == 2 && stored(t, js, "DAMREY_LATER") == 0 })
	stop()
	// As if it had died before it acknowledged: they are due again.
	for _, m := range kept {
		h := nats.Header{}
		for name, values := range m.Headers() {
			if !strings.HasPrefix(name, "Nats-") {
				h[name] = values
			}
		}
		_, err := js.PublishMsg(f.context(), &nats.Msg{Subject: m.Subject(), Data: m.Data(), Header: h})
		must(t, err)
	}
	f.mover()
	eventually(t, "none is due", func() bool { return stored(t, js, "DAMREY_LATER") == 0 })
	if got := jobs(t, js); got != 2 {
		t.Errorf("%d stored", got)
	}
}

// jobs are the messages for w, without the markers of ids.
func jobs(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), "DAMREY_JOBS_w")
	must(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("damrey.job.w.>"))
	must(t, err)
	var n uint64
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

func TestLater_ComesAgainAndAgainOnceEach(t *testing.T) {
	t.Parallel()
	f, _, js := laterFabric(t)
	f.mover()
	got := make(arrivals, 100)
	f.worker("w", got.handle)
	s := damrey.Schedule{ID: "tick", From: "src", Type: "job", Payload: []byte(`["REQUEST","job","x"]`), Pattern: "@every 1s", Asked: "every 1s"}
	_, err := js.PublishMsg(f.context(), s.Message("damrey", "1"))
	must(t, err)
	ids := map[string]bool{}
	for range 4 {
		in := got.next(t)
		if ids[in.id] || !strings.HasPrefix(in.id, "tick.") {
			t.Errorf("%q once more", in.id)
		}
		ids[in.id] = true
	}
	eventually(t, "how it went is noted", func() bool {
		notes := tried(t, js, "$later")
		return len(notes) == 1 && strings.Contains(notes[0], `"next":`) && !strings.Contains(notes[0], "error")
	})
	must(t, damrey.CancelSchedule(f.context(), js, "damrey", "tick"))
	select {
	case <-got: // was due in the same moment
		got.none(t, 2*time.Second)
	case <-time.After(2 * time.Second):
	}
}

func TestLater_AStreamDeletedByHandIsMadeAgain(t *testing.T) {
	t.Parallel()
	f, src, js := laterFabric(t)
	got := make(arrivals, 10)
	f.worker("w", got.handle)
	must(t, js.DeleteStream(f.context(), "DAMREY_LATER"))
	must(t, src.With(damrey.WithDelay(time.Second)).Send(f.context(), "now", "1"))
	got.next(t)
}

func TestLater_NeedsAServerThatKnowsIt(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string][2]bool{
		"2.11.9": {}, "2.12.0": {true, false}, "2.13.4": {true, false}, "2.14.0": {true, true}, "2.15.2": {true, true}, "3.0.0": {true, true}, "": {true, true},
	} {
		for i, err := range []error{bucket.NeedsLater(version), bucket.NeedsRepeat(version)} {
			if (err == nil) != ok[i] {
				t.Errorf("%q: %v", version, err)
			}
			want := []string{"delayed messages need nats-server 2.12 or newer, this one is ", "cron and every need nats-server 2.14 or newer, this one is "}[i]
			if err != nil && (!errors.Is(err, bucket.ErrTooOld) || !strings.Contains(err.Error(), want+version)) {
				t.Errorf("%v", err)
			}
		}
	}
}

// What is due on a route that is not clear waits for it, and holds up nothing else that is due.
func TestLater_ARouteThatIsHeldBackHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	js := f.heldBack()
	got := make(arrivals, 10)
	f.worker("w2", got.handle)
	f.mover()
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const n = 5
	for i := 1; i <= n; i++ {
		must(t, src.With(damrey.WithDelay(time.Millisecond)).Send(f.context(), "x", "k", strconv.Itoa(i)))
	}
	eventually(t, "they are due", func() bool {
		mover, err := js.Consumer(f.context(), "DAMREY_LATER", "mover")
		must(t, err)
		return mover.CachedInfo().NumAckPending == n
	})
	must(t, src.With(damrey.WithDelay(time.Millisecond)).Send(f.context(), "now"))
	if in := got.next(t); in.msg.Type() != "now" {
		t.Errorf("%q arrived", in.msg)
	}
	if stored(t, js, "DAMREY_TRIED") != 0 || stored(t, js, "DAMREY_JOBS_w") != 1 {
		t.Errorf("what is held back has failed or was stored while the other was not moved")
	}
	f.resumeHeld(js)
	f.worker("w", got.handle)
	for i := range n + 1 {
		if in := got.next(t); i == 0 && in.msg.Arg(1) != "0" {
			t.Errorf("%q overtook what was held back", in.msg)
		}
	}
}
