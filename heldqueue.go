package damrey

import (
	"context"
	"errors"
	"fmt"
)

const (
	// heldMemory is how many bytes of messages wait for their routes at once. One
	// route has at most as much as it leaves to the others.
	heldMemory = 64 << 20
	// heldEach is what a message takes of it beside its own bytes.
	heldEach = 1 << 10
)

var errHeldFull = errors.New("too many messages wait for the route, whose order is kept")

// heldMessage waits for those before it on its route, and for the route.
type heldMessage struct {
	route *Route
	storing
}

func (m *heldMessage) memory() int { return m.msg.Size() + heldEach }

// storeQueued is storeInTurn for who has one goroutine for all routes: where the
// message would have to wait it is queued behind those of its route.
func (l *link) storeQueued(r *Route, s storing) error {
	m, h, route := heldMessage{r, s}, &l.held, r.String()
	h.mu.Lock()
	held := h.of(route)
	switch {
	case held.working:
	case r.Paused:
		h.mu.Unlock()
		return l.storeInTurn(context.Background(), r, s)
	case held.isClear(r):
		h.mu.Unlock()
		return l.store(context.Background(), s)
	}
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	if held.memory+m.memory() > heldMemory-h.memory {
		return fmt.Errorf("%w: %w (%s)", ErrFull, errHeldFull, r)
	}
	held.waiting.push(m)
	held.memory += m.memory()
	h.memory += m.memory()
	if !held.working {
		held.working = true
		h.working++
		l.wg.Go(func() { l.workOffHeld(held) })
	}
	return nil
}

// workOffHeld stores what waits for a route, in its order.
func (l *link) workOffHeld(held *heldRoute) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	l.wg.Go(func() {
		select {
		case <-l.closed:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	})
	h := &l.held
	h.mu.Lock()
	defer h.mu.Unlock()
	for held.waiting.len() > 0 {
		m := held.waiting.pop()
		h.mu.Unlock()
		if err := l.storeInTurn(ctx, m.route, m.storing); err != nil {
			m.done(err)
		}
		h.mu.Lock()
		held.memory -= m.memory()
		h.memory -= m.memory()
	}
	held.working = false
	if h.working--; h.working == 0 && h.none != nil {
		close(h.none)
		h.none = nil
	}
}

// settle returns when nothing waits.
func (h *heldBack) settle(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.working > 0 {
		if h.none == nil {
			h.none = make(chan struct{})
		}
		none := h.none
		h.mu.Unlock()
		err := awaitChange(ctx, none, nil, 0)
		h.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// close lets nothing wait any more. What does is ended by the link's own end.
func (h *heldBack) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}
