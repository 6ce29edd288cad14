package damrey

import (
	"context"
	"sync/atomic"
	"time"
)

// handleContext is a handler's context. Making a timer for every message would
// cost as much as handling it, so the deadline gets one only when somebody
// asks for Done.
type handleContext struct {
	parent   context.Context // ends when the instance's drain time is over
	deadline moment
	hops     int32       // of what the handler begins
	unasked  bool        // it is a send: nobody waits for an answer
	over     atomic.Bool // the handler has returned
	job      *job        // nil: it came directly
	span     *span       // nil: it is not traced
	timed    atomic.Pointer[timedContext]
}

// timedContext has a timer.
type timedContext struct {
	context.Context
	cancel context.CancelFunc
}

type hopsKey struct{}

func (c *handleContext) Deadline() (time.Time, bool) { return c.deadline.time(), true }

func (c *handleContext) Done() <-chan struct{} { return c.inner().Done() }

func (c *handleContext) Err() error {
	timed := c.timed.Load()
	switch {
	case timed != nil:
		return timed.Err()
	case c.over.Load():
		return context.Canceled
	case c.parent.Err() != nil:
		return c.parent.Err()
	case clock() >= c.deadline:
		return context.DeadlineExceeded
	}
	return nil
}

func (c *handleContext) Value(key any) any {
	if _, ok := key.(hopsKey); ok {
		return int(c.hops)
	}
	if _, ok := key.(jobKey); ok {
		return c.job
	}
	if _, ok := key.(spanKey); ok {
		return c.span
	}
	// Package context looks for what it ends together under a key of this type,
	// and only that needs the timer.
	if _, ok := key.(*int); ok {
		return c.inner().Value(key)
	}
	return c.parent.Value(key)
}

// inner gives the one that has a timer. When the handler returns meanwhile,
// either end sees it or the look at over here sees that.
func (c *handleContext) inner() context.Context {
	if timed := c.timed.Load(); timed != nil {
		return timed
	}
	ctx, cancel := context.WithDeadline(c.parent, c.deadline.time())
	timed := &timedContext{ctx, cancel}
	if !c.timed.CompareAndSwap(nil, timed) {
		cancel()
		return c.timed.Load()
	}
	if c.over.Load() {
		cancel()
	}
	return timed
}

// end is called when the handler has returned.
func (c *handleContext) end() {
	c.over.Store(true)
	if timed := c.timed.Load(); timed != nil {
		timed.cancel()
	}
}

// hopsOf is how many hops lie behind what is begun with ctx.
func hopsOf(ctx context.Context) int {
	if c, ok := ctx.(*handleContext); ok {
		return int(c.hops)
	}
	hops, _ := ctx.Value(hopsKey{}).(int)
	return hops
}
