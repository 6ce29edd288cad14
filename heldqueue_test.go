package damrey

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Where nobody says that a route is clear, as many messages wait as there is memory for, the next is refused, another
// route still has room, and the end of the link ends all of them.
func TestHeldQueue_IsBounded(t *testing.T) {
	t.Parallel()
	l := newLink(plainNATS(t), DefaultPrefix, 3, nil, newThrottledLog(zerolog.Nop()), new(counters), newOutRoutes())
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	l.state.maxPayload.Store(0) // this broker would refuse what is about to be queued
	payload := []byte(`["REQUEST","x","` + strings.Repeat("k", heldMemory/10) + `"]`)
	var ended, closed atomic.Int64
	queue := func(to string) error {
		r := &Route{From: "src", Type: "x", To: to, Durable: true, Key: KeyArg(0), subject: "damrey.job." + to + ".x.src"}
		return l.queuePayload(r, payload, jobHeader{}, clock().add(time.Hour), func(err error) {
			ended.Add(1)
			if strings.Contains(err.Error(), ErrClosed.Error()) {
				closed.Add(1)
			}
		})
	}
	queued := int64(0)
	var err error
	for ; err == nil; queued++ {
		err = queue("a")
	}
	queued--
	if !errors.Is(err, ErrFull) || !errors.Is(err, errHeldFull) || queued != 5 {
		t.Fatalf("%d are queued of one route, then %v", queued, err)
	}
	if err := queue("b"); err != nil {
		t.Errorf("another route: %v", err)
	}
	queued++
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.held.settle(over); err == nil {
		t.Error("none waits")
	}
	l.close()
	if ended.Load() != queued || closed.Load() != queued {
		t.Errorf("of %d messages %d ended, %d of them because of the end", queued, ended.Load(), closed.Load())
	}
	if err := queue("a"); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
	if err := l.held.settle(t.Context()); err != nil || l.held.memory != 0 {
		t.Errorf("%v, and %d bytes are left", err, l.held.memory)
	}
}

// A message of a paused route that could not even be begun is not under way, and does not hold the route back for ever.
func TestHeldBack_CountsNoMessageThatWasNotBegun(t *testing.T) {
	t.Parallel()
	l := newLink(plainNATS(t), DefaultPrefix, 3, nil, newThrottledLog(zerolog.Nop()), new(counters), newOutRoutes())
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	l.close()
	r := &Route{From: "src", Type: "x", To: "a", Durable: true, Paused: true, Key: KeyArg(0), subject: "damrey.held.a.x.src"}
	err := l.storePayload(t.Context(), r, []byte(`["REQUEST","x","k"]`), jobHeader{}, clock().add(time.Hour), func(error) {})
	if !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	l.held.with(r.String(), func(s *heldRoute) {
		if s.underWay != 0 {
			t.Errorf("%d are under way", s.underWay)
		}
	})
}
