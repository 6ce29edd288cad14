package damrey_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

func untilDone(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// b1 holds forwards that it has not started, then stops; b2 is there.
func TestInstance_UnstartedForwardsGoToAnotherInstance(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "a"))
	f.register("a", to("y", "b"), to("s", "sink"))
	f.put(damrey.Registration{Name: "b", MPU: 1})
	f.register("sink")
	f.worker("sink", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, nil })
	a := f.worker("a", func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.NewRequest("y"), nil })
	b1 := f.instance(damrey.Config{Name: "b", Timeout: time.Minute}, damrey.WithDrainTime(0))
	b1.Handle("*", untilDone)
	f.serve(b1)
	src := f.serve(f.instance(damrey.Config{Name: "src", Timeout: time.Minute}))
	const n = 200
	results := make(chan error, n)
	for range n {
		go func() {
			_, err := src.Request(context.Background(), "x")
			results <- err
		}()
	}
	eventually(t, "all wait at b1", func() bool { return b1.Stats().Received == n })
	for range 100 { // the forwarder goes on meanwhile
		must(t, a.Send(f.context(), "s"))
	}
	must(t, a.Flush(f.context()))
	f.worker("b", echo)
	b1.Stop()
	stops := 0
	for range n {
		if err := await(t, "answers", results); err != nil {
			stops++
		}
	}
	if stops > 1 {
		t.Errorf("%d of %d requests failed; only the one that was running may", stops, n)
	}
}

func TestInstance_StopsWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("w")
	release, began := make(chan struct{}), make(chan struct{}, 10)
	w := f.instance(damrey.Config{Name: "w", Timeout: time.Hour}, damrey.WithDrainTime(100*time.Millisecond))
	w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		began <- struct{}{}
		<-release
		return nil, nil
	})
	f.serve(w)
	for range 3 {
		must(t, f.nc.PublishRequest("damrey.msg.w.x.src", f.nc.NewInbox(), []byte(`["REQUEST","x"]`)))
		await(t, "handler", began)
	}
	f.srv.Shutdown()
	close(release)
	stopped := make(chan struct{})
	go func() { w.Stop(); close(stopped) }()
	await(t, "Stop", stopped)
}

func TestInstance_AHandlerMayAskAndSendWhileItIsDrained(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "a"))
	f.register("a", to("y", "b"))
	f.register("b")
	f.worker("b", echo)
	began, release := make(chan struct{}), make(chan struct{})
	a := f.instance(damrey.Config{Name: "a"})
	a.Handle("x", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
		close(began)
		<-release
		if err := a.Send(ctx, "y"); err != nil {
			return nil, err
		}
		return a.Request(ctx, "y", "hello")
	})
	f.serve(a)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	result := make(chan error, 1)
	go func() {
		_, err := src.Request(context.Background(), "x")
		result <- err
	}()
	await(t, "handler", began)
	stopped := make(chan struct{})
	go func() { a.Stop(); close(stopped) }()
	eventually(t, "others are refused", func() bool {
		_, err := a.Request(f.context(), "y")
		return errors.Is(err, damrey.ErrClosed)
	})
	close(release)
	must(t, await(t, "answer", result))
	await(t, "Stop", stopped)
}

type evil struct{}

func (evil) String() string               { panic("again") }
func (evil) MarshalJSON() ([]byte, error) { panic("again") }

var _ json.Marshaler = evil{}

func TestInstance_LivesThroughTheWorstHandlers(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 1})
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		switch in.Arg(0) {
		case "goexit":
			runtime.Goexit()
		case "evil":
			panic(evil{})
		case "nil":
			panic(nil)
		}
		return damrey.Reply(), nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for range 3 {
		for _, how := range []string{"goexit", "evil", "nil"} {
			if _, err := src.Request(f.context(), "x", how); !errors.Is(err, damrey.ErrPanic) {
				t.Errorf("%s gave %v, want ErrPanic", how, err)
			}
		}
	}
	_, err := src.Request(f.context(), "x")
	must(t, err)
}

func TestTrap_ALongReplySubjectDoesNotKillTheConnection(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("a", to("x", "b"))
	f.register("b")
	f.worker("b", echo)
	a := f.worker("a", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { return in, nil })
	b := f.bridge()
	long := "_INBOX." + strings.Repeat("a", 4000)
	must(t, f.nc.PublishRequest("damrey.msg.a.x.src", long, []byte(`["REQUEST","x"]`)))
	must(t, f.nc.PublishRequest("damrey.out.a.x", long, []byte(`["REQUEST","x"]`)))
	eventually(t, "both are refused", func() bool { return a.Stats().Refused == 1 && b.Stats().Refused == 1 })
	if got := f.ask("damrey.msg.a.x.src", `["REQUEST","x","1"]`); got != `["RESPONSE","x","1"]` {
		t.Errorf("afterwards: %s", got)
	}
}

func TestInstance_FlushBeforeRunAndAfterStop(t *testing.T) {
	t.Parallel()
	w := damrey.New(damrey.Config{Name: "w"}, zerolog.Nop())
	must(t, w.Flush(t.Context()))
	w.Stop()
	must(t, w.Flush(t.Context()))
}

func TestInstance_StrangersMarkersConfirmNothing(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	replies := make(chan string, 10)
	_, err := f.nc.Subscribe("damrey.msg.w.*.*", func(m *nats.Msg) { replies <- m.Reply })
	must(t, err)
	must(t, f.nc.Flush())
	f.worker("w", echo)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	_, err = src.Request(f.context(), "x")
	must(t, err)
	inbox, _, _ := strings.Cut(await(t, "reply subject", replies), ".~")
	for _, id := range []string{"0", "1", "zz", "~", ""} {
		must(t, f.nc.Publish(inbox+".f"+id, nil))
	}
	eventually(t, "they are counted", func() bool { return src.Stats().Unasked == 5 })
	_, err = src.Request(f.context(), "x")
	must(t, err)
}

func TestInstance_ForeignRequestersAreToldOfTimeout(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.put(damrey.Registration{Name: "w", MPU: 1})
	release := make(chan struct{})
	w := f.instance(damrey.Config{Name: "w", Timeout: 50 * time.Millisecond})
	w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) { <-release; return nil, nil })
	f.serve(w)
	answers := make(chan string, 2)
	for range 2 {
		go func() { answers <- f.ask("damrey.msg.w.x.me", `["REQUEST","x"]`) }()
	}
	eventually(t, "one waits behind the other", func() bool { return w.Stats().Queued == 1 })
	time.Sleep(60 * time.Millisecond) // its budget must be over, which is a matter of time
	close(release)
	got := []string{await(t, "first", answers), await(t, "second", answers)}
	if got[0] != `["TIMEOUT"]` && got[1] != `["TIMEOUT"]` {
		t.Errorf("answers %q; want a TIMEOUT among them", got)
	}
}

func TestInstance_ACancelledContextBeginsNothing(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	w := f.worker("w", echo)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := src.Request(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Request: %v", err)
	}
	if err := src.Send(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v", err)
	}
	must(t, src.Flush(f.context()))
	if n := w.Stats().Received; n != 0 {
		t.Errorf("%d messages came", n)
	}
}

func TestBridge_CountsEveryMessageOfALostPayload(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src")
	b := f.bridge()
	must(t, f.nc.Publish("damrey.out.src.x", []byte(`["REQUEST","x"]["REQUEST","x"]["REQUEST","x"]`)))
	eventually(t, "all three are counted", func() bool { return b.Stats().Undelivered == 3 })
}

func TestInstance_RefusesAConnectionWithoutEcho(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	w := damrey.New(damrey.Config{Name: "w"}, zerolog.Nop(), damrey.WithConn(f.connect(nats.NoEcho())))
	if err := w.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "nats.NoEcho") {
		t.Errorf("Serve gave %v", err)
	}
}
