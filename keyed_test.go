package damrey_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go/jetstream"
)

func byKey(typ, worker string, index int) damrey.Command {
	c := durably(typ, worker)
	c.Key = damrey.KeyArg(index)
	return c
}

func (f *fabric) keyed(worker string) {
	f.t.Helper()
	js := f.jobs(worker)
	must(f.t, bucket.EnsureKeyed(f.context(), js, damrey.DefaultPrefix, worker))
	must(f.t, f.nc.Publish(damrey.JobsSubject(damrey.DefaultPrefix, worker), nil))
}

// keyedSource registers src, which stores messages by their first argument for
// w, and serves it. They may fail often.
func (f *fabric) keyedSource() *damrey.Instance {
	f.t.Helper()
	row := byKey("x", "w", 0)
	row.Attempts = 100
	f.register("src", row)
	f.register("w")
	f.keyed("w")
	return f.serve(f.instance(damrey.Config{Name: "src"}))
}

// sendInTurn sends one message of each key after another, and closes sent at
// the end.
func sendInTurn(src *damrey.Instance, keys, each int, between time.Duration) (sent <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range each {
			for k := range keys {
				src.SendAsync(context.Background(), "x", fmt.Sprint("k", k), fmt.Sprint(n))
			}
			time.Sleep(between)
		}
	}()
	return done
}

// ledger notes when each message of a key ran: the key, then its number.
type ledger struct {
	mu      sync.Mutex
	ran     map[string][]int // numbers in the order in which they ended, each once
	running map[string]int
	wrong   []string
	total   int
	doubled int
}

func newLedger() *ledger { return &ledger{ran: map[string][]int{}, running: map[string]int{}} }

func (l *ledger) begin(key string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running[key]++; l.running[key] > 1 {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: two at a time, #%d is one", key, n))
	}
	if done := l.ran[key]; n > len(done) {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: #%d began after %d were done", key, n, len(done)))
	}
}

func (l *ledger) end(key string, n int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[key]--
	switch done := l.ran[key]; {
	case !ok:
	case n < len(done):
		l.doubled++
	default:
		l.ran[key] = append(done, n)
		l.total++
	}
}

func (l *ledger) done() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func (l *ledger) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.wrong {
		if i == 10 {
			t.Errorf("and %d more", len(l.wrong)-i)
			break
		}
		t.Error(w)
	}
}

// handler takes key and number, and fails now and then.
func (l *ledger) handler(share float64, work time.Duration) damrey.HandlerFunc {
	return func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		n, err := strconv.Atoi(in.Arg(1))
		if err != nil {
			return nil, err
		}
		l.begin(in.Arg(0), n)
		if work > 0 {
			time.Sleep(rand.N(work))
		}
		ok := rand.Float64() >= share
		l.end(in.Arg(0), n, ok)
		if !ok {
			return nil, errors.New("not this time")
		}
		return nil, nil
	}
}

func TestKeyed_InOrderOneAtATime(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	src := f.keyedSource()
	const keys, each = 50, 40
	l := newLedger()
	var instances []*damrey.Instance
	for range 3 {
		instances = append(instances, f.worker("w", l.handler(0.02, 2*time.Millisecond)))
	}
	for n := range each {
		for k := range keys {
			src.SendAsync(f.context(), "x", fmt.Sprint("k", k), fmt.Sprint(n))
		}
	}
	must(t, src.Flush(f.context()))
	eventually(t, "all are handled", func() bool { return l.done() == keys*each })
	l.check(t)
	if l.doubled > 0 {
		t.Errorf("%d ran twice", l.doubled)
	}
	for i, w := range instances {
		if s := w.Stats(); s.Jobs == 0 {
			t.Errorf("instance %d had no part: %+v", i, s)
		}
	}
}

func TestKeyed_InstancesComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	src := f.keyedSource()
	const keys, each = 30, 100
	l := newLedger()
	begin := func() (stop func()) {
		w := f.instance(damrey.Config{Name: "w"})
		w.Handle("*", l.handler(0.01, 4*time.Millisecond))
		done := make(chan error, 1)
		go func() { done <- w.Serve(context.Background()) }()
		await(t, "ready", w.Ready())
		return func() {
			w.Stop()
			if err := await(t, "stopped", done); err != nil {
				t.Error(err)
			}
		}
	}
	stops := []func(){begin()}
	sendInTurn(src, keys, each, 30*time.Millisecond)
	for i := 0; l.done() < keys*each && i < 6; i++ {
		stops = append(stops, begin())
		time.Sleep(700 * time.Millisecond)
		if i%2 == 1 {
			stops[0]()
			stops = stops[1:]
		}
	}
	eventually(t, "all are handled", func() bool { return l.done() == keys*each })
	for _, stop := range stops {
		stop()
	}
	l.check(t)
}

func TestKeyed_MissingArgument(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", byKey("x", "w", 2))
	f.register("w")
	f.keyed("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	err := src.Send(f.context(), "x", "a", "b")
	if !errors.Is(err, damrey.ErrMalformed) || !strings.Contains(err.Error(), "the route's key is argument 2, and the message has 2") {
		t.Errorf("got %v", err)
	}
	must(t, src.Send(f.context(), "x", "a", "b", "c"))
}

// What is stored while the route is paused is not overtaken by what is sent
// afterwards.
func TestKeyed_PausedRouteKeepsItsOrder(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	src := f.keyedSource()
	const keys, each = 20, 150
	l := newLedger()
	for range 2 {
		f.worker("w", l.handler(0.01, time.Millisecond))
	}
	route := byKey("x", "w", 0)
	route.Attempts = 100
	nc := f.connect()
	js, err := jetstream.New(nc)
	must(t, err)
	// The proxy moves them, and looks again for those that come late.
	var paused atomic.Bool
	var aside atomic.Uint64
	ctx, cancel := context.WithCancel(f.context())
	var mover sync.WaitGroup
	mover.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			held, err := bucket.Held(ctx, js, damrey.DefaultPrefix, "w")
			for name := range held {
				if err == nil && !paused.Load() {
					var n int
					n, err = bucket.Resume(ctx, js, damrey.DefaultPrefix, "w", name, bucket.Limits{})
					aside.Add(uint64(n))
				}
			}
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	defer mover.Wait()
	defer cancel()
	sent := sendInTurn(src, keys, each, 10*time.Millisecond)
	for range 4 {
		for _, route.Paused = range []bool{true, false} {
			paused.Store(route.Paused)
			f.put(damrey.Registration{Name: "src", Commands: []damrey.Command{route}})
			time.Sleep(150 * time.Millisecond)
		}
	}
	await(t, "all are sent", sent)
	eventually(t, "all are handled", func() bool { return l.done() == keys*each })
	l.check(t)
	if aside.Load() == 0 {
		t.Error("nothing was stored while it was paused")
	}
	t.Logf("%d were stored while it was paused", aside.Load())
}

// A broker that goes and comes drops what it was sending, and acknowledgements.
func TestKeyed_BrokerRestarts(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	src := f.keyedSource()
	const keys, each = 30, 60
	l := newLedger()
	for range 2 {
		f.worker("w", l.handler(0.01, 3*time.Millisecond))
	}
	sent := sendInTurn(src, keys, each, 20*time.Millisecond)
	for range 2 {
		time.Sleep(400 * time.Millisecond)
		f.restart()
	}
	await(t, "all are sent", sent)
	eventually(t, "all are handled", func() bool { return l.done() == keys*each })
	l.check(t)
	t.Logf("%d ran twice", l.doubled)
}

// An owner that the broker does not hear any more begins nothing that another
// may have by then, and the other begins nothing that may still run there.
func TestKeyed_OwnerCutOff(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	relay := newFreezer(t, f.srv.ClientURL())
	src := f.keyedSource()
	const keys, each = 30, 300
	l := newLedger()
	f.worker("w", l.handler(0.01, 3*time.Millisecond), damrey.WithConnect(damrey.ConnectConfig{URL: relay.url()}))
	f.worker("w", l.handler(0.01, 3*time.Millisecond))
	sent := sendInTurn(src, keys, each, 50*time.Millisecond)
	time.Sleep(time.Second)
	relay.mu.Lock()
	time.Sleep(bucket.AckWait + bucket.KeyPinned/2)
	relay.mu.Unlock()
	await(t, "all are sent", sent)
	eventually(t, "all are handled", func() bool { return l.done() == keys*each })
	l.check(t)
	t.Logf("%d ran twice", l.doubled)
}
