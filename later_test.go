package damrey_test

import (
	"context"
	"errors"
	"fmt"
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

var _ = errors.New
var _ = fmt.Sprint
var _ = strings.Contains
var _ = bucket.LaterStream
