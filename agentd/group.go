package agentd

import (
	"context"
	"sync"
)

// group runs the parts of an agent. The first that fails ends the others.
type group struct {
	wg     sync.WaitGroup
	cancel context.CancelFunc
	once   sync.Once // guards err
	err    error
}

func newGroup(ctx context.Context) (*group, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	return &group{cancel: cancel}, ctx
}

func (g *group) run(part func() error) {
	g.wg.Go(func() {
		if err := part(); err != nil {
			g.once.Do(func() { g.err = err })
			g.cancel()
		}
	})
}

// wait until all parts have returned; the error is that of the first that failed.
func (g *group) wait() error {
	g.wg.Wait()
	g.cancel()
	return g.err
}
