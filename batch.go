package damrey

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// batches gathers the sends of routes that have a batch. A send that finds the
// connection idle leaves at once; those that come while it leaves go together.
// Nothing waits to fill a batch.
type batches struct {
	l      *link
	tracer *tracer
	mu     sync.Mutex // guards routes
	routes map[string]*batch
}

// maxBatches is how many routes may have one. A default route has as many types
// as its sender makes up; those past it leave alone.
const maxBatches = 1024

// batchPlace is where a route of the table remembers its batch.
type batchPlace = atomic.Pointer[batch]

// batch is what waits on one route.
type batch struct {
	of      *batches
	mu      sync.Mutex // guards all below
	waiting push
	spare   []byte        // the buffer of the push that is leaving
	leaving bool          // a goroutine sees to it that what waits leaves
	pushing bool          // somebody is publishing the batch before
	joined  uint64        // messages, ever
	left    uint64        // of them, pushed or given up
	changed chan struct{} // not nil while someone waits for the batch to move
}

// on gives the batch of a route; nil when there are too many.
func (b *batches) on(r *Route) *batch {
	if r.batch == nil {
		return b.find(r.subject)
	}
	one := r.batch.Load()
	if one == nil || one.of != b {
		one = b.find(r.subject)
		r.batch.Store(one)
	}
	return one
}

func (b *batches) find(subject string) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.routes == nil {
		b.routes = make(map[string]*batch)
	}
	one := b.routes[subject]
	if one == nil && len(b.routes) < maxBatches {
		one = &batch{of: b}
		b.routes[subject] = one
	}
	return one
}

// add puts a send into its route's batch and returns. When the batch is full it
// publishes it, or waits for that until ctx or the send's deadline ends.
func (b *batches) add(ctx context.Context, p push) error {
	one := b.on(p.route)
	if one == nil {
		return b.l.send(ctx, p)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	for !one.fits(p, b.l.state.maxPayload.Load()) {
		if !one.pushing && b.l.sendsPass() {
			b.push(one)
			continue
		}
		p.stamp()
		if err := one.wait(ctx, p.deadline); err != nil {
			return fmt.Errorf("%w: the batch waits to leave (%s): %w", ErrFull, p.route, err)
		}
	}
	one.join(p)
	one.joined++
	if !one.leaving {
		one.leaving = true
		go b.leave(one)
	}
	return nil
}

// fits: only sends with equal hops and cost share a batch, and as many that are
// traced as have room in its headers.
func (one *batch) fits(p push, maxPayload int64) bool {
	w := &one.waiting
	return w.count == 0 ||
		w.hops == p.hops && w.cost == p.cost && w.count < p.route.Batch &&
			(p.header == nil || roomForTrace(len(w.traced), maxPayload)) &&
			(maxPayload <= 0 || int64(len(w.payload)+1+len(p.payload)) <= maxPayload/2)
}

func (one *batch) join(p push) {
	w := &one.waiting
	if p.header != nil {
		w.traced = append(w.traced, tracedSend{w.count, p.header})
		p.header = nil
	}
	if w.count == 0 {
		p.traced = w.traced
		payload := append(w.payload[:0], p.payload...)
		*w = p
		w.payload = payload
		w.stamp()
		return
	}
	w.payload = append(w.payload, '\n')
	w.payload = append(w.payload, p.payload...)
	w.count++
	if p.deadline != 0 && p.deadline < w.deadline {
		w.deadline, w.budget = p.deadline, p.budget
	}
}

// leave publishes until nothing waits.
func (b *batches) leave(one *batch) {
	one.mu.Lock()
	defer one.mu.Unlock()
	for one.waiting.count > 0 {
		if one.pushing {
			// Ends when the one who pushes is done.
			_ = one.wait(context.Background(), 0)
			continue
		}
		b.push(one)
	}
	one.leaving = false
}

// push publishes what waits now. mu is held before and after.
func (b *batches) push(one *batch) {
	p := one.waiting
	one.waiting = push{payload: one.spare[:0]}
	one.pushing = true
	one.announce()
	one.mu.Unlock()
	s := b.tracer.batched(&p)
	err := b.l.send(context.Background(), p)
	if err != nil {
		b.l.giveUp(p, err.Error())
	}
	s.endSend(err)
	one.mu.Lock()
	one.left += uint64(p.count)
	one.spare = p.payload
	one.pushing = false
	one.announce()
}

func (one *batch) wait(ctx context.Context, deadline moment) error {
	if one.changed == nil {
		one.changed = make(chan struct{})
	}
	changed := one.changed
	one.mu.Unlock()
	defer one.mu.Lock()
	return awaitChange(ctx, changed, nil, deadline)
}

func (one *batch) announce() {
	if one.changed != nil {
		close(one.changed)
		one.changed = nil
	}
}

// flush waits until everything that waits now has left.
func (b *batches) flush(ctx context.Context) error {
	b.mu.Lock()
	all := make([]*batch, 0, len(b.routes))
	for _, one := range b.routes {
		all = append(all, one)
	}
	b.mu.Unlock()
	for _, one := range all {
		if err := one.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (one *batch) flush(ctx context.Context) error {
	one.mu.Lock()
	defer one.mu.Unlock()
	for target := one.joined; one.left < target; {
		if err := one.wait(ctx, 0); err != nil {
			return fmt.Errorf("damrey: flush: %w", err)
		}
	}
	return nil
}
