package damrey

import (
	"context"
	"sync"
)

// background is something that runs between start and stop, which are called
// by one goroutine.
type background struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (b *background) start(run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.done.Go(func() { run(ctx) })
}

// stop returns when it has ended.
func (b *background) stop() {
	if b.cancel != nil {
		b.cancel()
		b.done.Wait()
	}
}
