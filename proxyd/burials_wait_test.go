package proxyd

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who hears of nothing left takes a burial to be over, and asks no more.
func TestBurials_WaitsForTheEndWhenNothingIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBurials(nil, nil)
		b := &burial{worker: "w", done: make(chan struct{})}
		s.all["w"] = b
		b.left.Store(7)
		if _, left, err := s.wait(t.Context(), b); left != 7 || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
		b.left.Store(0) // all are moved, and the stream is being removed
		b.moved.Store(7)
		time.AfterFunc(3*burialWait, func() { close(b.done) })
		if moved, left, err := s.wait(t.Context(), b); moved != 7 || left != 0 || err != nil {
			t.Errorf("%d moved, %d left, %v", moved, left, err)
		}
		if s.has("w") {
			t.Error("it is over, and not forgotten")
		}
	})
}
