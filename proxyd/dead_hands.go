package proxyd

import (
	"context"
	"sync"
)

// hands are the dead letters that this proxy is doing something with, so that two terminals do not do it at once.
// Another proxy may; what is stored then has the same id and is there once.
type hands struct {
	mu   sync.Mutex               // guards full
	full map[uint64]chan struct{} // closed when the letter is let go
}

func newHands() hands { return hands{full: make(map[uint64]chan struct{})} }

// take waits until nobody has the letter, or until ctx ends.
func (h *hands) take(ctx context.Context, sequence uint64) (release func(), err error) {
	for {
		other, release := h.tryTake(sequence)
		if other == nil {
			return release, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *hands) tryTake(sequence uint64) (other <-chan struct{}, release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other := h.full[sequence]; other != nil {
		return other, nil
	}
	mine := make(chan struct{})
	h.full[sequence] = mine
	return nil, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.full, sequence)
		close(mine)
	}
}
