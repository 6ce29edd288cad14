package proxyd_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/proxyd"
)

// deleteBurying asks until none is left, as the command does.
func (r *deadRig) deleteBurying(name string) (moved uint64) {
	r.t.Helper()
	eventuallyWithin(r.t, "all messages are dead letters", time.Minute, func() bool {
		m, left, err := r.api.DeleteBuryingJobs(r.t.Context(), name)
		if err != nil {
			r.t.Fatal(err)
		}
		moved = m
		return left == 0
	})
	return moved
}

func eventuallyWithin(t *testing.T, what string, most time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, most)
		}
	}
}

func (r *deadRig) send(n int) {
	r.t.Helper()
	src, stop := r.serve("src", nil)
	defer stop()
	for i := range n {
		if err := src.Send(r.t.Context(), "order", fmt.Sprint(i)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// While instances drain, each message is handled or a dead letter: none is both, none is neither.
func TestBurial_WithInstancesThatDrain(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	if _, err := r.api.Put(t.Context(), damrey.Registration{Name: "w", MPU: 5}, ""); err != nil {
		t.Fatal(err)
	}
	const sent = 600
	var mu sync.Mutex
	handled := map[string]int{}
	for range 2 {
		r.serve("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
			time.Sleep(10 * time.Millisecond) // work
			mu.Lock()
			defer mu.Unlock()
			handled[in.Arg(0)]++
			return nil, nil
		})
	}
	r.send(sent)
	moved := r.deleteBurying("w")
	list := r.list(api.DeadFilter{Limit: api.MaxDead})
	mu.Lock()
	defer mu.Unlock()
	if uint64(len(list.Letters)) != moved || moved == 0 {
		t.Errorf("%d are said to be moved, %d letters are there", moved, len(list.Letters))
	}
	for _, l := range list.Letters {
		handled[l.Message[2]]++
		if l.Error != "worker w was deleted" || l.Route() != "src→order→w" {
			t.Errorf("letter: %+v", l)
		}
	}
	for i := range sent {
		if n := handled[fmt.Sprint(i)]; n != 1 {
			t.Errorf("message %d was handled or buried %d times", i, n)
		}
	}
	if r.stored("DAMREY_JOBS_w") != 0 {
		t.Error("the stream, to which a route leads, still holds messages")
	}
	if _, _, err := r.api.DeleteBuryingJobs(t.Context(), "w"); status(err) != http.StatusNotFound {
		t.Errorf("deleted again: %v", err)
	}
}

// What waits for its next attempt is moved too, and what an instance has in its hand is not.
func TestBurial_OfMessagesThatWait(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	command := durably("order", "w")
	command.Backoff = damrey.Duration(time.Hour)
	r.register("src", command)
	r.register("w")
	_, stop := r.serve("w", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, errors.New("not today") })
	r.send(3)
	eventually(t, "all have failed once", func() bool { return r.stored("DAMREY_TRIED") == 3 })
	stop()
	r.register("src") // no route leads there any more
	if moved := r.deleteBurying("w"); moved != 3 {
		t.Errorf("%d moved", moved)
	}
	for _, l := range r.list(api.DeadFilter{}).Letters {
		if l.Error != "worker w was deleted; the attempt before: not today" || l.Failures != 1 {
			t.Errorf("%+v", l)
		}
	}
	eventually(t, "the empty stream is gone", func() bool {
		_, err := r.js.Stream(t.Context(), "DAMREY_JOBS_w")
		return errors.Is(err, jetstream.ErrStreamNotFound)
	})
}

func TestBurial_GoesOnAfterAnInterruption(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.register("w")
	r.send(20)
	r.must(200, "DELETE", "/v1/workers/w?jobs=keep", "") // as a proxy leaves it that ended after its first step
	if n := r.stored("DAMREY_JOBS_w"); n != 20 {
		t.Fatalf("%d stored after jobs=keep", n)
	}
	if moved := r.deleteBurying("w"); moved != 20 || r.stored("DAMREY_DEAD") != 20 {
		t.Errorf("%d moved, %d letters", moved, r.stored("DAMREY_DEAD"))
	}
}

// Two proxies that do it at once make one letter of each message.
func TestBurial_AtTwoProxies(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	other := startProxy(t, r.srv, proxyd.Config{})
	await(t, other.proxy.Ready())
	r.register("src", durably("order", "w"))
	r.register("w")
	r.send(300)
	var wg sync.WaitGroup
	for _, client := range []*api.Client{r.api, other.client()} {
		wg.Go(func() {
			for left := uint64(1); left > 0; {
				var err error
				if _, left, err = client.DeleteBuryingJobs(t.Context(), "w"); err != nil {
					if status(err) != http.StatusNotFound {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	if n := r.stored("DAMREY_DEAD"); n != 300 {
		t.Errorf("%d letters of 300 messages", n)
	}
}

func TestRemoveJobs_LeavesWhatHoldsMessages(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.write("damrey.job.w.x.src", `["REQUEST","x"]`)
	removed, err := bucket.RemoveJobs(t.Context(), r.js, "damrey", "w")
	if err != nil || removed {
		t.Errorf("removed: %v, %v", removed, err)
	}
	r.write("damrey.job.w.x.src", `["REQUEST","x"]`) // it still takes messages
	if n := r.stored("DAMREY_JOBS_w"); n != 2 {
		t.Errorf("%d stored", n)
	}
}

// What an instance has in its hand stays there, for however long it takes.
func TestBurial_LeavesWhatIsInHand(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.register("w")
	r.send(1)
	begun := make(chan struct{})
	var times atomic.Int64
	w := damrey.New(damrey.Config{Name: "w", Timeout: time.Minute}, zerolog.Nop(),
		damrey.WithConnect(damrey.ConnectConfig{URL: r.srv.ClientURL()}), damrey.WithDrainTime(time.Minute))
	w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		if times.Add(1) == 1 {
			close(begun)
		}
		time.Sleep(bucket.AckWait + 5*time.Second) // longer than a silent hand keeps it
		return nil, nil
	})
	done := make(chan error, 1)
	go func() { done <- w.Serve(context.Background()) }()
	await(t, begun)
	if moved := r.deleteBurying("w"); moved != 0 || times.Load() != 1 || r.stored("DAMREY_DEAD") != 0 {
		t.Errorf("%d moved, handled %d times", moved, times.Load())
	}
	w.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A burial that outlived its request is no answer to who removes the worker another time.
func TestBurial_OfAWorkerThatWasAddedAgain(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.register("w")
	r.send(1)
	begun, end := make(chan struct{}), make(chan struct{})
	w := damrey.New(damrey.Config{Name: "w", Timeout: time.Minute}, zerolog.Nop(),
		damrey.WithConnect(damrey.ConnectConfig{URL: r.srv.ClientURL()}), damrey.WithDrainTime(time.Minute))
	w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		close(begun)
		<-end
		return nil, nil
	})
	done := make(chan error, 1)
	go func() { done <- w.Serve(context.Background()) }()
	await(t, begun)
	if _, left, err := r.api.DeleteBuryingJobs(t.Context(), "w"); err != nil || left != 1 {
		t.Fatalf("one is in hand; %d are left: %v", left, err)
	}
	close(end)
	w.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventuallyWithin(t, "the burial has nothing left to do", time.Minute, func() bool { return r.stored("DAMREY_JOBS_w") == 0 })
	r.register("w")
	r.send(3)
	if moved := r.deleteBurying("w"); moved != 3 || r.stored("DAMREY_DEAD") != 3 {
		t.Errorf("%d are said to be moved, %d letters are there", moved, r.stored("DAMREY_DEAD"))
	}

	// Nor is one that ends since the worker is there again.
	r.register("w")
	r.send(2)
	begunAgain, endAgain := make(chan struct{}), make(chan struct{})
	again := damrey.New(damrey.Config{Name: "w", Timeout: time.Minute}, zerolog.Nop(),
		damrey.WithConnect(damrey.ConnectConfig{URL: r.srv.ClientURL()}), damrey.WithDrainTime(time.Minute))
	var once sync.Once
	again.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		once.Do(func() { close(begunAgain) })
		<-endAgain
		return nil, nil
	})
	go func() { done <- again.Serve(context.Background()) }()
	await(t, begunAgain)
	if _, left, err := r.api.DeleteBuryingJobs(t.Context(), "w"); err != nil || left == 0 {
		t.Fatalf("some are in hand; %d are left: %v", left, err)
	}
	r.register("w")
	r.send(4)
	close(endAgain)
	again.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	left := r.stored("DAMREY_JOBS_w")
	if moved := r.deleteBurying("w"); moved != left || r.stored("DAMREY_JOBS_w") != 0 {
		t.Errorf("%d were stored, %d are said to be moved and %d are left", left, moved, r.stored("DAMREY_JOBS_w"))
	}
}

// Those with a key and those that wait for a paused route are stored for the worker as well.
func TestBurial_OfKeysAndOfHeldMessages(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	keyed := durably("order", "w")
	keyed.Key = damrey.KeyArg(0)
	held := durably("wait", "w")
	held.Paused = true
	r.register("src", keyed, held)
	r.register("w")
	eventually(t, "there is a consumer for keys", func() bool {
		_, err := r.js.Consumer(t.Context(), "DAMREY_JOBS_w", bucket.KeyConsumer(0))
		return err == nil
	})
	r.send(20)
	src, stop := r.serve("src", nil)
	defer stop()
	if err := src.Send(t.Context(), "wait", "for it"); err != nil {
		t.Fatal(err)
	}
	if p := r.must(http.StatusConflict, "DELETE", "/v1/workers/w", "").problem(t); !strings.Contains(p.Detail, "21 messages are stored") {
		t.Error(p.Detail)
	}
	if moved := r.deleteBurying("w"); moved != 21 {
		t.Errorf("%d messages are dead letters, of 21", moved)
	}
}

// A message that the broker does not take as a dead letter stays, and those behind it are moved all the same.
func TestBurial_PastAMessageThatCannotBeMoved(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.register("w")
	stream, err := r.js.Stream(t.Context(), "DAMREY_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = 2000
	if _, err := r.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	src, stop := r.serve("src", nil)
	for _, size := range []int{3000, 1, 3000, 1, 1} {
		if err := src.Send(t.Context(), "order", strings.Repeat("a", size)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	r.register("src") // no route leads there any more
	_, _, err = r.api.DeleteBuryingJobs(t.Context(), "w")
	if err == nil || !strings.Contains(err.Error(), "2 of the messages could not be moved to the dead letters and stay; the first of them is message 1 of stream DAMREY_JOBS_w") {
		t.Errorf("it says %v", err)
	}
	if dead, left := r.stored("DAMREY_DEAD"), r.stored("DAMREY_JOBS_w"); dead != 3 || left != 2 {
		t.Errorf("%d dead letters and %d left of three and two", dead, left)
	}
	cfg.MaxMsgSize = -1
	if _, err := r.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if moved := r.deleteBurying("w"); moved != 2 {
		t.Errorf("%d moved when they could be", moved)
	}
}

// A message of the largest size is moved without some of what a dead letter says.
func TestBurial_OfALargestMessage(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.register("w")
	data := `["REQUEST","order","` + strings.Repeat("a", int(r.nc.MaxPayload())-150) + `"]`
	if _, err := r.js.Publish(t.Context(), "damrey.job.w.order.src", []byte(data)); err != nil {
		t.Fatal(err)
	}
	if moved := r.deleteBurying("w"); moved != 1 {
		t.Errorf("%d moved", moved)
	}
}
