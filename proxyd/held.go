package proxyd

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

// releaseHeld lets messages go on that were stored while their durable route was paused, whenever the table changes and
// every now and then, until ctx ends.
func (k *keeper) releaseHeld(ctx context.Context) {
	k.repeat(ctx, k.resume, k.releaseAll, "messages of a route that was paused cannot go on yet")
}

func (k *keeper) releaseAll(ctx context.Context) error {
	table := k.current()
	if table == nil {
		return nil
	}
	names := k.store.js.StreamNames(ctx, jetstream.WithStreamListSubject(k.store.prefix+".held.>"))
	var failed []error
	for name := range names.Name() {
		if worker, ok := strings.CutPrefix(name, bucket.JobsStream(k.store.prefix, "")); ok {
			failed = append(failed, k.releaseOf(ctx, table, worker))
		}
	}
	return errors.Join(append(failed, names.Err())...)
}

// releaseOf moves what waits for a worker and need not.
func (k *keeper) releaseOf(ctx context.Context, table *damrey.Table, worker string) error {
	held, err := bucket.Held(ctx, k.store.js, k.store.prefix, worker)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	failed := []error{err}
	for route := range held {
		if isHeld(table, worker, route) {
			continue
		}
		moved, err := bucket.Resume(ctx, k.store.js, k.store.prefix, worker, route, limitsOf(table, worker))
		failed = append(failed, err)
		if moved > 0 {
			typ, from := routeNames(route)
			k.store.log.Info().Int("messages", moved).Str("route", from+"→"+typ+"→"+worker).Msg("messages that waited while the route was paused go on")
		}
	}
	return errors.Join(failed...)
}

// isHeld says that a route to a worker, "<type>.<from>" or with a key "<type>.<from>.<partition>", is paused.
func isHeld(table *damrey.Table, worker, route string) bool {
	typ, from := routeNames(route)
	row := table.Row(from)
	if row == nil {
		return false
	}
	r := row.Route(typ)
	return r != nil && r.Durable && r.Paused && r.To == worker
}

func routeNames(route string) (typ, from string) {
	names := append(strings.Split(route, "."), "")
	return names[0], names[1]
}
