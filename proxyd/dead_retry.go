package proxyd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/wire"
)

const (
	// removeTime is kept of a request's time for removing the letter after it was sent.
	removeTime = time.Second
	// directBudget is what a handler gets for a letter on a direct route, as it would for a send.
	directBudget = 5 * time.Second
)

// retry sends a letter along today's route and removes it only then, so that it is never lost. When removing fails, it is
// said that it was sent.
func (d *deadLetters) retry(ctx context.Context, sequence uint64) (done api.Retried, err error) {
	err = d.inHand(ctx, sequence, func(ctx context.Context, stream jetstream.Stream, letter *jetstream.RawStreamMsg) error {
		route, err := d.routeOf(ctx, letter)
		if err != nil {
			return err
		}
		done = api.Retried{Sequence: sequence, Route: route.String(), Delivery: string(damrey.Direct)}
		if route.Durable {
			done.Delivery = string(damrey.Durable)
		}
		again, err := d.send(ctx, route, letter)
		if err != nil {
			return err
		}
		if err := d.removeSent(ctx, stream, sequence, done, again); err != nil {
			return err
		}
		d.forget(ctx, again)
		return nil
	})
	return done, err
}

// inHand reads a letter for one who is to send or replace it, while no other of this proxy may.
func (d *deadLetters) inHand(ctx context.Context, sequence uint64, do func(context.Context, jetstream.Stream, *jetstream.RawStreamMsg) error) error {
	return d.useLetter(ctx, sequence, func(ctx context.Context, stream jetstream.Stream) error {
		release, err := d.hands.take(ctx, sequence)
		if err != nil {
			return err
		}
		defer release()
		letter, err := stream.GetMsg(ctx, sequence)
		if err != nil {
			return err
		}
		return do(ctx, stream, letter)
	})
}

// routeOf is where the sender's messages of the letter's type go today.
func (d *deadLetters) routeOf(ctx context.Context, letter *jetstream.RawStreamMsg) (*damrey.Route, error) {
	worker, typ, from := parseDeadSubject(d.store.prefix, letter.Subject)
	if err := errors.Join(damrey.CheckName(typ), damrey.CheckName(from)); err != nil {
		return nil, stays("its subject %q names no type and sender", shorten(letter.Subject))
	}
	if _, err := wire.Decode(letter.Data); err != nil {
		return nil, stays("its payload is no message, so no instance can handle it (%v); remove it with `damrey dead purge %d`", err, letter.Sequence)
	}
	e, err := d.table.get(ctx, from)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, stays("worker %q is not registered, so nothing says where its messages of type %q go; type `damrey worker add %s --command %s=%s,durable`",
			from, typ, from, typ, worker)
	case e.damage != nil:
		return nil, stays("the entry of worker %q cannot be read: %v; put it again with `damrey worker chg %s`", from, e.damage, from)
	}
	table := damrey.NewTable(d.store.prefix, []damrey.Registration{e.reg}, nil)
	route := table.Row(from).Route(typ)
	if route == nil {
		return nil, stays("worker %q has no route for type %q any more; type `damrey worker chg %s --command %s=%s,durable`", from, typ, from, typ, worker)
	}
	if route.Durable {
		return route, nil // a message waits where the route or its worker is paused
	}
	to, err := d.table.get(ctx, route.To)
	if err != nil {
		return nil, err
	}
	rows := []damrey.Registration{e.reg}
	if to != nil && to.damage == nil && route.To != from {
		rows = append(rows, to.reg)
	}
	// An instance of a paused worker answers no send: the message would be gone.
	if why := damrey.NewTable(d.store.prefix, rows, nil).Refusal(route); why != "" {
		return nil, stays("%s (%s)", why, route)
	}
	return route, nil
}

// send is done when the broker has stored the message or an instance took it.
func (d *deadLetters) send(ctx context.Context, route *damrey.Route, letter *jetstream.RawStreamMsg) (again resent, err error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-removeTime))
		defer cancel()
	}
	if route.Durable {
		return d.storeAgain(ctx, route, letter)
	}
	return resent{}, d.push(ctx, route, letter)
}

// push publishes a letter on a direct route. NATS keeps the order of a connection, so when a round trip is over, "no
// responders" would be here.
func (d *deadLetters) push(ctx context.Context, route *damrey.Route, letter *jetstream.RawStreamMsg) error {
	nc := d.store.nc
	inbox := nc.NewInbox()
	back, err := nc.SubscribeSync(inbox + ".>")
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	defer func() { _ = back.Unsubscribe() }() // fails only on a closed connection
	made := nc.Stats().Reconnects
	// A reply subject as a send of the library has it: kind and call, milliseconds, hops, cost.
	reply := fmt.Sprintf("%s.~s1.%d.0.%d", inbox, directBudget.Milliseconds(), route.Cost)
	err = nc.PublishRequest(route.Subject(), reply, letter.Data)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return stays("it is larger than the broker's max_payload of %d bytes", nc.MaxPayload())
	case err != nil:
		return fmt.Errorf("%w: %w", errAway, err)
	}
	err = nc.FlushWithContext(ctx)
	if err == nil && nc.Stats().Reconnects != made {
		err = nats.ErrDisconnected
	}
	if err != nil {
		return problem(http.StatusServiceUnavailable,
			"whether an instance of %q took the message is not known (%s): %v; the letter stays", route.To, route, err)
	}
	if nobodyThere(ctx, back) {
		return stays("no instance of %q is there to take it (%s); start one, or make the route durable so that it waits", route.To, route)
	}
	return nil
}

// nobodyThere looks for "no responders" among what has come. A program without the library may answer even a send.
func nobodyThere(ctx context.Context, back *nats.Subscription) bool {
	for {
		if n, _, err := back.Pending(); err != nil || n == 0 {
			return false
		}
		m, err := back.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) || err == nil && len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			return true
		}
		if err != nil {
			return false
		}
	}
}

// removeSent removes a letter that was sent.
func (d *deadLetters) removeSent(ctx context.Context, stream jetstream.Stream, sequence uint64, done api.Retried, again resent) error {
	err := remove(ctx, stream, sequence)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrMsgNotFound) && again.already:
		return problem(http.StatusGone, "dead letter %d is gone: it was retried from another terminal at the same time, and is stored once", sequence)
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil // removed meanwhile, which is what was to be done
	case done.Delivery == string(damrey.Durable):
		return problem(http.StatusServiceUnavailable, "the message is stored (%s), but its dead letter could not be removed: %v; "+
			"try again%s, which stores nothing and removes it, or remove it with `damrey dead purge %d`", done.Route, err, within(again.jobs), sequence)
	}
	return problem(http.StatusServiceUnavailable, "an instance took the message (%s), but its dead letter could not be removed: %v; "+
		"remove it with `damrey dead purge %d`: to try again would deliver it twice", done.Route, err, sequence)
}
