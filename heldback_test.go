package damrey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go/jetstream"
)

// One that sent nothing while its route was paused knows of nothing that others
// have stored aside meanwhile, and must ask.
func TestKeyed_ASenderThatWasIdleInAPauseOvertakesNothing(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	idle, busy := f.keyedSource(), f.serve(f.instance(damrey.Config{Name: "src"}))
	js, err := jetstream.New(f.nc)
	must(t, err)
	must(t, idle.Send(f.context(), "x", "key", "first"))
	route := byKey("x", "w", 0)
	pause := func(paused bool) {
		route.Paused = paused
		f.put(damrey.Registration{Name: "src", Commands: []damrey.Command{route}})
	}
	stored := func(subject string) (n uint64) {
		s, err := js.Stream(f.context(), bucket.JobsStream(damrey.DefaultPrefix, "w"))
		must(t, err)
		info, err := s.Info(f.context(), jetstream.WithSubjectFilter(subject))
		must(t, err)
		for _, one := range info.State.Subjects {
			n += one
		}
		return n
	}
	pause(true)
	eventually(t, "one is stored aside", func() bool {
		must(t, busy.Send(f.context(), "x", "key", "aside"))
		return stored("damrey.held.>") > 0
	})
	before := stored("damrey.job.>")
	pause(false)
	eventually(t, "the idle one waits for what is aside", func() bool {
		ctx, cancel := context.WithTimeout(f.context(), 300*time.Millisecond)
		defer cancel()
		err := idle.Send(ctx, "x", "key", "after")
		if n := stored("damrey.job.>"); n != before {
			t.Fatalf("%d were stored before what is aside: %v", n-before, err)
		}
		return err != nil && strings.Contains(err.Error(), "still being moved")
	})
	held, err := bucket.Held(f.context(), js, damrey.DefaultPrefix, "w")
	must(t, err)
	for name := range held {
		_, err := bucket.Resume(f.context(), js, damrey.DefaultPrefix, "w", name, bucket.Limits{})
		must(t, err)
	}
	must(t, idle.Send(f.context(), "x", "key", "last"))
}
