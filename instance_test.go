package damrey_test

import (
	"context"
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
)

// The line of the original: entry => add => square.
func line(f *fabric) *damrey.Instance {
	f.t.Helper()
	f.register("entry", to("add", "add"))
	f.register("add", to("square", "square"))
	f.register("square")
	f.worker("add", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		a, err := strconv.Atoi(in.Arg(0))
		if err != nil {
			return nil, err
		}
		b, err := strconv.Atoi(in.Arg(1))
		if err != nil {
			return nil, err
		}
		return damrey.NewRequest("square", strconv.Itoa(a+b)), nil
	})
	f.worker("square", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		n, err := strconv.Atoi(in.Arg(0))
		return damrey.Reply(strconv.Itoa(n * n)), err
	})
	return f.serve(f.instance(damrey.Config{Name: "entry"}))
}

func TestInstance_LastWorkerAnswersFirstRequester(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	entry := line(f)
	got, err := entry.Request(f.context(), "add", "3", "4")
	must(t, err)
	if want := []string{damrey.RESPONSE, "square", "49"}; !slices.Equal(got, want) {
		t.Fatalf("answer %q, want %q", got, want)
	}
	_, err = entry.Request(f.context(), "add", "3", "x")
	var failed *damrey.ReplyError
	if !errors.As(err, &failed) || failed.Code != "" {
		t.Fatalf("a handler's error became %v", err)
	}
}

func TestInstance_EveryHopSeesADeadTarget(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("a", "a"))
	f.register("a", to("b", "b"))
	f.register("b")
	f.worker("a", func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.NewRequest("b"), nil })
	entry := f.serve(f.instance(damrey.Config{Name: "entry"}))
	_, err := entry.Request(f.context(), "a")
	if !errors.Is(err, damrey.ErrNoInstance) {
		t.Fatalf("a dead second hop gave %v, want ErrNoInstance", err)
	}
	if want := "damrey: no instance took the message (a→b→b)"; err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
}

func TestInstance_ManyRequestsInFlight(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	entry := line(f)
	var wg sync.WaitGroup
	var failed atomic.Int64
	for i := range 64 {
		wg.Go(func() {
			for j := range 100 {
				got, err := entry.Request(f.context(), "add", strconv.Itoa(i), strconv.Itoa(j))
				if err != nil || got.Arg(0) != strconv.Itoa((i+j)*(i+j)) {
					failed.Add(1)
					t.Errorf("%d+%d: %q, %v", i, j, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if s := entry.Stats(); s.Requests != 6400 || s.Late != 0 || s.Waiting != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestInstance_SendsArriveInOrderAndAreConfirmed(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "sink"))
	f.put(damrey.Registration{Name: "sink", MPU: 1})
	const n = 20000
	var next atomic.Int64
	done := make(chan struct{})
	f.worker("sink", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if got, want := in.Arg(0), strconv.FormatInt(next.Load(), 10); got != want {
			t.Errorf("message %s came in place of %s", got, want)
		}
		if next.Add(1) == n {
			close(done)
		}
		return nil, nil
	}, damrey.WithQueue(n))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for i := range n {
		must(t, src.Send(f.context(), "x", strconv.Itoa(i)))
	}
	must(t, src.Flush(f.context()))
	await(t, "all sends", done)
}

func TestInstance_SendToNobodyIsNoticedRetriedAndCounted(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "nobody"))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	events, err := f.nc.SubscribeSync("damrey.event.undelivered.>")
	must(t, err)
	must(t, f.nc.Flush())
	for range 10 {
		must(t, src.Send(f.context(), "x", "1"))
	}
	err = src.Flush(f.context())
	if !errors.Is(err, damrey.ErrUndelivered) {
		t.Fatalf("Flush gave %v", err)
	}
	if want := "damrey: sends were not delivered: 10, 10 on src→x→nobody"; err.Error() != want {
		t.Errorf("Flush said %q, want %q", err, want)
	}
	if s := src.Stats(); s.Undelivered != 10 || s.Retried != 20 {
		t.Errorf("undelivered %d, retried %d; want 10 and 20", s.Undelivered, s.Retried)
	}
	must(t, src.Flush(f.context()))
	ev, err := events.NextMsg(patience)
	must(t, err)
	if want := "damrey.event.undelivered.nobody.x.src"; ev.Subject != want {
		t.Errorf("event on %s, want %s", ev.Subject, want)
	}
}

func TestInstance_BusyPastTheQueue(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "slow"))
	f.put(damrey.Registration{Name: "slow", MPU: 2})
	release := make(chan struct{})
	w := f.worker("slow", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		<-release
		return damrey.Reply(), nil
	}, damrey.WithQueue(3))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	results := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := src.Request(f.context(), "x")
			results <- err
		}()
	}
	for range 5 {
		if err := await(t, "busy", results); !errors.Is(err, damrey.ErrBusy) {
			t.Fatalf("got %v, want ErrBusy", err)
		}
	}
	if s := w.Stats(); s.InFlight != 2 || s.Queued != 3 {
		t.Errorf("in flight %d, queued %d; want 2 and 3", s.InFlight, s.Queued)
	}
	close(release)
	for range 5 {
		must(t, await(t, "answers", results))
	}
}

func TestInstance_PanicBecomesAnErrorAndTheInstanceLives(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Arg(0) == "boom" {
			panic("boom")
		}
		return nil, nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	_, err := src.Request(f.context(), "x", "boom")
	if !errors.Is(err, damrey.ErrPanic) {
		t.Fatalf("got %v, want ErrPanic", err)
	}
	got, err := src.Request(f.context(), "x")
	must(t, err)
	if len(got) != 2 || got.Tag() != damrey.RESPONSE {
		t.Errorf("nil output gave %q, want an empty RESPONSE", got)
	}
}

func TestInstance_TimeoutAtTheRequestersClock(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	release := make(chan struct{})
	f.worker("w", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Arg(0) == "heed" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		<-release
		return nil, nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src", Timeout: 50 * time.Millisecond}))
	for _, how := range []string{"heed", "ignore"} {
		_, err := src.Request(context.Background(), "x", how)
		if !errors.Is(err, damrey.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a handler that does %s its context gave %v, want a timeout", how, err)
		}
	}
	close(release)
	eventually(t, "the late answer is counted", func() bool { return src.Stats().Late >= 1 })
}

func TestInstance_RouteChangeTakesEffectBetweenTwoMessages(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "a"))
	for _, name := range []string{"a", "b"} {
		f.register(name)
		f.worker(name, func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.Reply(name), nil })
	}
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for i := range 20 {
		want := []string{"a", "b"}[i%2]
		f.register("src", to("x", want))
		eventually(t, "the route leads to "+want, func() bool {
			got, err := src.Request(f.context(), "x")
			must(t, err)
			return got.Arg(0) == want
		})
	}
}

func TestInstance_RegistrationGatesReceiving(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	w := f.instance(damrey.Config{Name: "w"})
	w.Handle("*", echo)
	f.run(w)
	if _, err := src.Request(f.context(), "x"); !errors.Is(err, damrey.ErrNoInstance) {
		t.Fatalf("an unregistered worker gave %v, want ErrNoInstance", err)
	}
	f.register("w")
	await(t, "ready", w.Ready())
	_, err := src.Request(f.context(), "x")
	must(t, err)
	must(t, f.kv.Delete(f.context(), "w"))
	eventually(t, "del drains", func() bool {
		_, err := src.Request(f.context(), "x")
		return errors.Is(err, damrey.ErrNoInstance)
	})
	f.register("w")
	eventually(t, "add brings it back", func() bool {
		_, err := src.Request(f.context(), "x")
		return err == nil
	})
}

func TestInstance_LoopEndsAndSaysSo(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("add", "add"))
	f.register("add", to("add", "entry"))
	var ran atomic.Int32
	again := func(context.Context, damrey.Msg) (damrey.Msg, error) {
		ran.Add(1)
		return damrey.NewRequest("add"), nil
	}
	add := f.worker("add", again)
	entry := f.worker("entry", again)
	// 64 forwards lie behind the last one, so that 65 handlers ran.
	_, err := entry.Request(f.context(), "add")
	if !errors.Is(err, damrey.ErrLoop) || !strings.Contains(err.Error(), "went over 64 hops (add→add→entry)") || ran.Swap(0) != 65 {
		t.Fatalf("got %v after %d, want ErrLoop", err, ran.Load())
	}
	// A stock client that asks an instance itself, and one that wants no answer.
	m, err := f.nc.Request("damrey.msg.entry.add.entry", []byte(`["REQUEST","add"]`), patience)
	must(t, err)
	if got := string(m.Data); !strings.Contains(got, `"damrey:loop","entry→add→add"`) || ran.Swap(0) != 65 {
		t.Errorf("got %s after %d", got, ran.Load())
	}
	looped := add.Stats().Looped + entry.Stats().Looped
	must(t, f.nc.Publish("damrey.msg.entry.add.entry", []byte(`["REQUEST","add"]`)))
	eventually(t, "the loop without an answer ends", func() bool { return add.Stats().Looped+entry.Stats().Looped == looped+1 })
	if n := ran.Load(); n != 65 {
		t.Errorf("%d handlers ran", n)
	}
}

func TestInstance_DrainsInFlightOnStop(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	began, release := make(chan struct{}), make(chan struct{})
	w := f.instance(damrey.Config{Name: "w"})
	w.Handle("x", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		close(began)
		<-release
		return damrey.Reply("done"), nil
	})
	f.serve(w)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	result := make(chan error, 1)
	go func() {
		_, err := src.Request(f.context(), "x")
		result <- err
	}()
	await(t, "handler", began)
	stopped := make(chan struct{})
	go func() { w.Stop(); w.Stop(); close(stopped) }()
	close(release)
	must(t, await(t, "answer", result))
	await(t, "stop", stopped)
	if _, err := w.Request(f.context(), "x"); !errors.Is(err, damrey.ErrClosed) {
		t.Errorf("a request on a stopped instance gave %v", err)
	}
	if err := w.Send(f.context(), "x"); !errors.Is(err, damrey.ErrClosed) {
		t.Errorf("a send on a stopped instance gave %v", err)
	}
}

func TestInstance_UnstartedMessageGoesToAnotherInstance(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 1})
	block := make(chan struct{})
	first := f.instance(damrey.Config{Name: "w"}, damrey.WithDrainTime(0))
	first.Handle("x", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		<-block
		return nil, errors.New("never")
	})
	f.serve(first)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	results := make(chan string, 5)
	for range 5 {
		go func() {
			got, err := src.Request(f.context(), "x")
			results <- fmt.Sprint(got, errors.Is(err, damrey.ErrNoInstance))
		}()
	}
	eventually(t, "one runs and four wait", func() bool { return first.Stats().Queued == 4 })
	f.worker("w", echo)
	first.Stop()
	close(block)
	counts := map[string]int{}
	for range 5 {
		counts[await(t, "answers", results)]++
	}
	if counts["[RESPONSE x] false"] != 4 || counts["[STOP] true"] != 1 {
		t.Errorf("answers %v; want 4 from the other instance and one STOP", counts)
	}
}
