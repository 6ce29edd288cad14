package damrey_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
)

// broken is a handler whose error is as long as errors get.
func broken(context.Context, damrey.Msg) (damrey.Msg, error) {
	return nil, errors.New("no stock " + strings.Repeat("é", 400))
}

func twice(typ, worker string) damrey.Command {
	c := durably(typ, worker)
	c.Attempts, c.Backoff = 2, damrey.Duration(time.Millisecond)
	return c
}

// A sender leaves room for what a dead letter says, also one that sends later.
func TestDeadLetter_SendersLeaveRoomForIt(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", twice("x", "w"))
	f.register("w", twice("y", "w"))
	js := f.jobs("w")
	f.worker("w", broken)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	limit := int(f.nc.MaxPayload())
	for _, size := range []int{limit - 150, limit - 300, limit - 4096} {
		err := src.Send(f.context(), "x", strings.Repeat("a", size))
		if !errors.Is(err, damrey.ErrTooLarge) || !strings.Contains(err.Error(), "are more than the 1044480 that a stored message may have: the broker's max_payload of 1048576") ||
			strings.Count(err.Error(), "src→x→w") != 1 {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	_, err := src.Request(f.context(), "x", strings.Repeat("a", limit-300))
	if !errors.Is(err, damrey.ErrTooLarge) || strings.Count(err.Error(), "src→x→w") != 1 || strings.Count(err.Error(), "damrey: ") != 1 {
		t.Errorf("a request: %v", err)
	}
	if err := src.With(damrey.WithDelay(time.Hour)).Send(f.context(), "x", strings.Repeat("a", limit-300)); !errors.Is(err, damrey.ErrTooLarge) {
		t.Errorf("later: %v", err)
	}
	must(t, src.Send(f.context(), "x", strings.Repeat("a", limit-4096-300)))
	dead, err := js.Stream(t.Context(), "DAMREY_DEAD")
	must(t, err)
	var letter string
	eventually(t, "it is a dead letter", func() bool {
		m, err := dead.GetLastMsgForSubject(t.Context(), "damrey.dead.w.x.src")
		if err == nil {
			letter = m.Header.Get(damrey.HeaderDeadError)
		}
		return err == nil
	})
	if !strings.HasSuffix(letter, "éé") || len(letter) != len("no stock ")+800 {
		t.Errorf("its error was cut: %d bytes", len(letter))
	}
}

// What was stored by another version, or by hand, may be as large as it gets.
func TestDeadLetter_OfALargestMessage(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", twice("x", "w"))
	f.register("w")
	js := f.jobs("w")
	limit := int(f.nc.MaxPayload())
	const header = len("NATS/1.0\r\n\r\n")
	sizes := map[string]int{"reason": 300, "id": 150, "bare": header + len("Nats-Msg-Id: bare\r\n")}
	for id, room := range sizes {
		size := limit - room
		data := `["REQUEST","x","` + strings.Repeat("a", size-len(`["REQUEST","x",""]`)) + `"]`
		m := &nats.Msg{Subject: "damrey.job.w.x.src", Data: []byte(data), Header: nats.Header{damrey.HeaderID: {id}}}
		if room > 200 {
			m.Header.Set(damrey.HeaderPath, strings.Repeat("a.b.c ", 20)+"a.b.c")
		}
		_, err := js.PublishMsg(f.context(), m)
		must(t, err)
	}
	f.worker("w", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		_, err := broken(ctx, in)
		return nil, damrey.Discard(err)
	})
	dead, err := js.Stream(t.Context(), "DAMREY_DEAD")
	must(t, err)
	eventually(t, "all are dead letters", func() bool {
		info, err := dead.Info(t.Context())
		must(t, err)
		return info.State.Msgs == uint64(len(sizes))
	})
	eventually(t, "none is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	for i := range len(sizes) {
		m, err := dead.GetMsg(t.Context(), uint64(i+1))
		must(t, err)
		why := m.Header.Get(damrey.HeaderDeadError)
		if len(m.Data) < limit-70 && (!strings.HasPrefix(why, "no stock é") || !strings.HasSuffix(why, "…")) {
			t.Errorf("%d bytes of message, and the error is %q", len(m.Data), why)
		}
	}
}
