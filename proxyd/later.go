package proxyd

import (
	"context"

	"github.com/damrey/damrey"
)

// later moves messages that were sent later when they are due, along the table of then. Any number of proxies may do so:
// the broker gives each message to one.
type later struct {
	store  *store
	keeper *keeper
}

// run moves until ctx ends. It begins when the buckets are there. name is this proxy's.
func (l *later) run(ctx context.Context, ready <-chan struct{}, name string) {
	select {
	case <-ready:
	case <-ctx.Done():
		return
	}
	mover := damrey.NewMover(l.store.js, damrey.MoverConfig{
		Prefix: l.store.prefix, Name: name, Table: l.keeper.current, Log: l.store.log,
	})
	if err := mover.Run(ctx); err != nil {
		l.store.log.Error().Err(err).Msg("delayed messages and schedules are not moved on by this proxy")
	}
}
