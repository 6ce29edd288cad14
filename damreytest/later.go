package damreytest

import (
	"context"
	"sync"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
)

// later is what sends messages later, as a proxy would. It is made when the
// first one comes, since few tests need it and its streams take longer than all
// the rest of a fabric.
type later struct {
	fabric *Fabric
	ctx    context.Context
	end    context.CancelFunc

	mu    sync.Mutex // guards what follows
	begun bool
	err   error
	parts sync.WaitGroup
}

func (f *Fabric) awaitLater() (*later, error) {
	l := &later{fabric: f}
	l.ctx, l.end = context.WithCancel(context.Background())
	sub, err := f.nc.Subscribe(damrey.LaterSubject(damrey.DefaultPrefix, "*"), l.begin)
	if err != nil {
		l.end()
		return nil, err
	}
	return l, sub.AutoUnsubscribe(1)
}

// begin is called with the first message, which no stream has taken.
func (l *later) begin(first *nats.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun || l.ctx.Err() != nil {
		return
	}
	l.begun = true
	f := l.fabric
	if l.err = bucket.EnsureLater(l.ctx, f.js, damrey.DefaultPrefix); l.err != nil {
		return
	}
	watcher := damrey.NewWatcher(f.nc, damrey.WatchConfig{})
	mover := damrey.NewMover(f.js, damrey.MoverConfig{Name: "damreytest", Table: watcher.Table})
	// Each ends with the context only, and then without an error.
	l.parts.Go(func() { _ = watcher.Run(l.ctx) })
	l.parts.Go(func() { _ = mover.Run(l.ctx) })
	// Its sender gets the acknowledgement.
	l.err = f.nc.PublishMsg(first)
}

// close stops moving what is due.
func (l *later) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	l.parts.Wait()
	return l.err
}
