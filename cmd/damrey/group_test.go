package main

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// recorder notes the order in which the parts of a group end.
type recorder struct{ ended []string }

func (r *recorder) part(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		r.ended = append(r.ended, name) // the group lets one end at a time
		return nil
	}
}

func readyNow() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

func TestGroup_StopsInTheOppositeOrder(t *testing.T) {
	t.Parallel()
	var r recorder
	ctx, cancel := context.WithCancel(t.Context())
	g := newGroup(ctx)
	for _, name := range []string{"first", "second"} {
		if err := g.start(name, r.part(name), readyNow()); err != nil {
			t.Fatal(err)
		}
	}
	g.cleanup(func() { r.ended = append(r.ended, "cleanup") })
	if err := g.start("third", r.part("third"), readyNow()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := g.finish(nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"third", "cleanup", "second", "first"}; !slices.Equal(r.ended, want) {
		t.Errorf("they ended as %q, want %q", r.ended, want)
	}
}

func TestGroup_FirstEndStopsTheOthersAndIsTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct{ returns, want error }{
		"with an error": {broken, broken},
		"without one":   {nil, nil},
	} {
		var r recorder
		g := newGroup(t.Context())
		if err := g.start("first", r.part("first"), readyNow()); err != nil {
			t.Fatal(err)
		}
		err := g.start("second", func(context.Context) error { return c.returns }, nil)
		if err == nil {
			t.Fatal("start must not wait for a part that has ended")
		}
		err = g.finish(err)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if !slices.Equal(r.ended, []string{"first"}) {
			t.Errorf("%s: ended are %q", name, r.ended)
		}
	}
}

func TestGroup_SignalWhileStartingIsNoError(t *testing.T) {
	t.Parallel()
	var r recorder
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := newGroup(ctx)
	if err := g.finish(g.start("first", r.part("first"), nil)); err != nil {
		t.Errorf("got %v", err)
	}
}
