package damrey_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
)

// The window in which an id is known is the command's.
func TestDurable_AnIDIsKnownForTheWindowOfItsCommand(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	short := durably("short", "w")
	short.Window = damrey.Duration(time.Second)
	f.register("src", short, durably("long", "v"))
	f.jobs("w", "v")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	order := src.With(damrey.WithID("order 42"))
	for _, typ := range []string{"short", "long"} {
		must(t, order.Send(f.context(), typ, "1"))
	}
	eventually(t, "the short window is over", func() bool {
		err := order.Send(f.context(), "short", "2")
		if err != nil && !errors.Is(err, damrey.ErrIDConflict) {
			t.Fatal(err)
		}
		return err == nil
	})
	if err := order.Send(f.context(), "long", "2"); !errors.Is(err, damrey.ErrIDConflict) {
		t.Errorf("within the long window: %v", err)
	}
}

// What is under way is bounded: SendAsync waits for room until its context ends, and goes on when there is some.
func TestDurable_SendAsyncIsBounded(t *testing.T) {
	t.Parallel()
	const room = 4096
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	var storing atomic.Bool
	var seen atomic.Int64
	_, err := f.nc.Subscribe("damrey.job.w.x.src", func(m *nats.Msg) {
		if n := seen.Add(1); storing.Load() {
			must(t, m.Respond(fmt.Appendf(nil, `{"stream":"S","seq":%d}`, n)))
		}
	})
	must(t, err)
	must(t, f.nc.Flush())
	src := f.serve(f.instance(damrey.Config{Name: "src", Timeout: patience}))
	futures := make([]*damrey.Future, room)
	for i := range futures {
		futures[i] = src.SendAsync(f.context(), "x")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := src.SendAsync(ctx, "x").Wait(f.context()); !errors.Is(err, damrey.ErrFull) {
		t.Errorf("one more than there is room for: %v", err)
	}
	storing.Store(true) // what is tried again is acknowledged
	for _, future := range futures {
		must(t, future.Wait(f.context()))
	}
	must(t, src.SendAsync(f.context(), "x").Wait(f.context()))
}
