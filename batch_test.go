package damrey_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/damrey/damrey"
)

func TestInstance_BatchesLeaveTogetherAndArriveOneByOne(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", damrey.Command{Name: "x", Worker: "sink", Batch: 64})
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
	tap := f.connect()
	sub, err := tap.SubscribeSync("damrey.msg.sink.>")
	must(t, err)
	must(t, sub.SetPendingLimits(-1, -1))
	must(t, tap.Flush())
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for i := range n {
		must(t, src.Send(f.context(), "x", strconv.Itoa(i)))
	}
	must(t, src.Flush(f.context()))
	await(t, "all messages", done)
	must(t, tap.Flush())
	payloads, _, err := sub.Pending()
	must(t, err)
	if payloads < n/64 || payloads > n/2 {
		t.Errorf("%d messages left in %d payloads", n, payloads)
	}
}

func TestInstance_BatchIsLive(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "sink"))
	f.register("sink")
	got := make(chan string, 100)
	f.worker("sink", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		got <- in.Arg(0)
		return nil, nil
	})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for i, batch := range []damrey.Batch{1, 256, 0, 2} {
		f.register("src", damrey.Command{Name: "x", Worker: "sink", Batch: batch})
		for j := range 5 {
			must(t, src.Send(f.context(), "x", strconv.Itoa(i*5+j)))
		}
		must(t, src.Flush(f.context()))
		for range 5 {
			await(t, "each message", got)
		}
	}
}

func TestInstance_ABatchToNobodyIsCountedWhole(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", damrey.Command{Name: "x", Worker: "nobody", Batch: 16})
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for range 100 {
		must(t, src.Send(f.context(), "x"))
	}
	err := src.Flush(f.context())
	if want := "damrey: sends were not delivered: 100, 100 on src→x→nobody"; err == nil || err.Error() != want {
		t.Errorf("Flush gave %v, want %s", err, want)
	}
	if s := src.Stats(); s.Undelivered != 100 {
		t.Errorf("undelivered %d", s.Undelivered)
	}
}
