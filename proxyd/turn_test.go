package proxyd_test

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey/proxyd"
)

// Of the proxies of a cluster one makes the streams, and another goes on when that one is gone.
func TestProxy_TakesTurnsInMakingStreams(t *testing.T) {
	t.Parallel()
	var turns [2]atomic.Int32
	const word = "this proxy makes the streams of jobs now"
	log := func(n int) zerolog.Logger {
		return zerolog.New(io.Discard).Hook(zerolog.HookFunc(func(_ *zerolog.Event, _ zerolog.Level, text string) {
			if text == word {
				turns[n].Add(1)
			}
		}))
	}
	first := newRig(t, proxyd.Config{Node: "a", Log: log(0)})
	second := startProxy(t, first.srv, proxyd.Config{Node: "b", Log: log(1)})
	js, err := jetstream.New(first.nc)
	if err != nil {
		t.Fatal(err)
	}
	rigs := []*rig{first, second}
	having := func() (has []*rig) {
		for n, r := range rigs {
			if turns[n].Load() > 0 {
				has = append(has, r)
			}
		}
		return has
	}
	eventually(t, "one has the turn", func() bool { return len(having()) == 1 })
	first.must(201, "POST", "/worker/add", `{"name":"entry","commands":[{"name":"pay","worker":"bank","delivery":"durable"}]}`)
	eventually(t, "the stream is there", func() bool { _, err := js.Stream(t.Context(), "DAMREY_JOBS_bank"); return err == nil })
	time.Sleep(time.Second) // the other would have taken it by now, too
	has := having()
	if len(has) != 1 {
		t.Fatalf("%d of two proxies have the turn", len(has))
	}
	other := first
	if has[0] == first {
		other = second
	}
	has[0].stop()
	eventually(t, "the other has it", func() bool { return len(having()) == 2 })
	other.must(200, "POST", "/worker/chg", `{"name":"entry","commands":[{"name":"pay","worker":"vault","delivery":"durable"}]}`)
	eventually(t, "the other makes streams", func() bool { _, err := js.Stream(t.Context(), "DAMREY_JOBS_vault"); return err == nil })
}
