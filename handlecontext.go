package damrey

import (
	"context"
	"sync"
	"time"
)

// handleContext is a handler's context. Making a timer for every message would
// cost as much as handling it, so the deadline gets one only when somebody
// asks for Done.
type handleContext struct {
	parent   context.Context // ends when the instance's drain time is over
	deadline time.Time
	hops     int  // of what the handler begins
	unasked  bool // it is a send: nobody waits for an answer

	mu     sync.Mutex // guards what follows
	timed  context.Context
	cancel context.CancelFunc
	over   bool // the handler has returned
}

type hopsKey struct{}

func (c *handleContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *handleContext) Done() <-chan struct{} { return c.inner().Done() }

func (c *handleContext) Err() error {
	c.mu.Lock()
	timed, over := c.timed, c.over
	c.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case over:
		return context.Canceled
	case c.parent.Err() != nil:
		return c.parent.Err()
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

func (c *handleContext) Value(key any) any {
	if _, ok := key.(hopsKey); ok {
		return c.hops
	}
	return c.inner().Value(key)
}

func (c *handleContext) inner() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.parent, c.deadline)
		if c.over {
			c.cancel()
		}
	}
	return c.timed
}

// end is called when the handler has returned.
func (c *handleContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// hopsOf is how many hops lie behind what is begun with ctx.
func hopsOf(ctx context.Context) int {
	if c, ok := ctx.(*handleContext); ok {
		return c.hops
	}
	hops, _ := ctx.Value(hopsKey{}).(int)
	return hops
}
