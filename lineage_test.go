package damrey_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

// One id may be used for messages to several workers. What follows from them meets again at one, and nothing of it is taken for
// the same.
func TestDurable_OneIDAlongTwoLines(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("shop", durably("pay", "bank"), durably("ship", "depot"))
	for _, name := range []string{"bank", "depot"} {
		f.register(name, durably("log", "audit"))
	}
	f.register("audit")
	f.jobs("bank", "depot", "audit")
	var mu sync.Mutex
	seen := make(map[string]int)
	for _, name := range []string{"bank", "depot"} {
		f.worker(name, func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
			return damrey.NewRequest("log", name, in.Arg(0)), nil
		})
	}
	f.worker("audit", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[in.Arg(0)+in.Arg(1)]++
		return nil, nil
	})
	shop := f.serve(f.instance(damrey.Config{Name: "shop"}))
	const orders = 5
	for i := range orders {
		order := shop.With(damrey.WithID(fmt.Sprint("order ", i)))
		must(t, order.Send(f.context(), "pay", fmt.Sprint(i)))
		must(t, order.Send(f.context(), "ship", fmt.Sprint(i)))
	}
	eventually(t, "all of both lines come together", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 2*orders
	})
	mu.Lock()
	defer mu.Unlock()
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", what, n)
		}
	}
}

// A stream that somebody deletes is made anew and counts from 1 again. A message with the id and the sequence of one before is
// another: it has not failed yet, and becomes a dead letter of its own.
func TestDurable_SameIDInAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	route := durably("pay", "w")
	route.Attempts = 2
	f.register("src", route)
	f.register("w")
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for round := uint64(1); round <= 2; round++ {
		attempts := make(chan string, 10)
		w := f.worker("w", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
			attempts <- damrey.MessageID(ctx)
			return nil, errors.New("no")
		})
		must(t, src.With(damrey.WithID("order 42")).Send(f.context(), "pay", "7"))
		eventually(t, "it is a dead letter", func() bool { return stored(t, js, "DAMREY_DEAD") == round })
		if len(attempts) != 2 {
			t.Errorf("round %d: %d attempts, not 2", round, len(attempts))
		}
		w.Stop()
		must(t, js.DeleteStream(f.context(), "DAMREY_JOBS_w"))
		must(t, bucket.EnsureJobs(f.context(), js, damrey.DefaultPrefix, "w", bucket.Limits{}))
	}
}

// A dead letter says which way its message had come, also where some of it was direct.
func TestDurable_ADeadLetterSaysItsPath(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("ask", "a"))
	f.register("a", durably("go", "b"))
	f.register("b", durably("on", "c"))
	f.register("c")
	js := f.jobs("b", "c")
	for name, typ := range map[string]string{"a": "go", "b": "on"} {
		f.worker(name, func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.NewRequest(typ), nil })
	}
	f.worker("c", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, damrey.Discard(errors.New("no")) })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "ask"))
	eventually(t, "it is a dead letter", func() bool { return stored(t, js, "DAMREY_DEAD") == 1 })
	stream, err := js.Stream(f.context(), "DAMREY_DEAD")
	must(t, err)
	letter, err := stream.GetMsg(f.context(), 1)
	must(t, err)
	if got := letter.Header.Get(damrey.HeaderPath); got != "src.ask.a a.go.b" || letter.Subject != "damrey.dead.c.on.b" {
		t.Errorf("%q before %s", got, letter.Subject)
	}
}
