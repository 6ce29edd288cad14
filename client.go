package damrey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/damrey/damrey/internal/wire"
)

// Request sends a request along this worker's route for typ and waits for its
// answer. It returns the RESPONSE. For an ERROR it returns that and a
// *[ReplyError], as it does while the route is paused; else an error that is
// [ErrNoRoute], [ErrNoInstance],
// [ErrTimeout] or [ErrClosed], or the context's when that was cancelled.
//
// The budget is what is left of ctx, else Config.Timeout, at most 1 h. Called
// with a handler's context it counts as a hop of the handled message. Safe for
// concurrent use.
func (w *Instance) Request(ctx context.Context, typ string, args ...string) (Msg, error) {
	return w.request(ctx, sendOptions{}, typ, args)
}

func (w *Instance) request(ctx context.Context, o sendOptions, typ string, args []string) (Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, notBegun(err)
	}
	now := clock()
	deadline := w.deadline(ctx, now)
	route, err := w.route(ctx, typ, deadline)
	if err != nil {
		return nil, err
	}
	if o.isLater() {
		return nil, fmt.Errorf("%w: a request cannot be sent later, since nobody would wait for its answer; use Send (%s)", ErrNotStored, route)
	}
	if err := o.check(route); err != nil {
		return nil, err
	}
	if fe := route.refusal(); fe != nil {
		w.stats.paused.Add(1)
		m := fe.message(typ)
		return m, replyError(m)
	}
	hops := hopsOf(ctx)
	if hops > maxHops {
		w.stats.looped.Add(1)
		return nil, replyError(loopError(route.String()).message(typ))
	}
	c := w.newCall()
	c.route, c.hops, c.deadline, c.began, c.given = route, hops, deadline, now, o.id
	c.payload = appendRequest(c.payload[:0], typ, args)
	if err := w.link.checkSize(c.payload, route); err != nil {
		w.recycle(c)
		return nil, err
	}
	sp := w.tracer.sending(ctx, route, hops, len(c.payload))
	c.header = sp.header()
	w.link.begin(c)
	id := c.id
	a, err := w.await(ctx, c)
	if err != nil {
		w.tracer.requested(sp, requested{id, route, hops, now, deadline}, nil, err)
		return nil, err
	}
	w.recycle(c)
	m, err := a.result(route, now)
	w.link.outs.answered(route, a, m.Tag())
	w.tracer.requested(sp, requested{id, route, hops, now, deadline}, m, err)
	if m.Tag() == STOP && w.link.isClosed() {
		return m, ErrClosed
	}
	return m, err
}

// await waits for the call's answer or the end of ctx, whichever is first.
func (w *Instance) await(ctx context.Context, c *call) (answer, error) {
	select {
	case a := <-c.done:
		return a, nil
	case <-ctx.Done():
	}
	if w.link.calls.take(c.id) == nil {
		return <-c.done, nil // it was being answered just now
	}
	where, began, stored, path := c.route.String(), c.began, c.stored, c.pathNow()
	out := w.link.outs.of(c.route)
	w.recycle(c)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		out.ended(TIMEOUT)
		return answer{}, timedOut(where, clock().since(began), stored, path)
	}
	return answer{}, fmt.Errorf("damrey: request given up (%s): %w", where, context.Cause(ctx))
}

// Send sends a message along this worker's route for typ and returns when it
// is in the connection's buffer. Delivery is at most once and never lost
// silently: when nobody is there it is pushed again, Rc attempts in all, then
// counted, logged and told as an event; Flush returns it. Errors: no route,
// route paused, too large, stopped, no connection or no room until ctx or Config.Timeout
// ends. The message's own budget is Config.Timeout, whatever ctx says: it is
// done with Send when Send returns. Safe for concurrent use.
//
// On a durable route it returns nil only after the broker has stored the
// message, and keeps trying under the same id until ctx ends, without a
// deadline for 15 s. Then it is [ErrNotStored], and whether it is stored is not
// known; [ErrFull] says that it is not, because the worker's stream is full.
func (w *Instance) Send(ctx context.Context, typ string, args ...string) error {
	return w.send(ctx, sendOptions{}, typ, args)
}

func (w *Instance) send(ctx context.Context, o sendOptions, typ string, args []string) error {
	if err := ctx.Err(); err != nil {
		return notBegun(err)
	}
	return w.sendWith(ctx, 0, w.cfg.Timeout, o, typ, args, nil)
}

func notBegun(err error) error { return fmt.Errorf("damrey: not begun: %w", err) }

// sendBy is Send with a budget of its own. A zero deadline is when that ends,
// from when the message leaves.
func (w *Instance) sendBy(ctx context.Context, deadline moment, budget time.Duration, typ string, args []string) error {
	return w.sendWith(ctx, deadline, budget, sendOptions{}, typ, args, nil)
}

// sendWith is sendBy and tells done how the send ended. When it returns an
// error it does not. A nil done on a durable route waits for the end.
func (w *Instance) sendWith(ctx context.Context, deadline moment, budget time.Duration, o sendOptions, typ string, args []string, done func(error)) error {
	route, err := w.route(ctx, typ, deadline)
	if err != nil {
		return err
	}
	if err := o.check(route); err != nil {
		return err
	}
	if fe := route.refusal(); fe != nil && !o.isLater() {
		w.stats.paused.Add(1)
		return fe
	}
	hops := hopsOf(ctx)
	if hops > maxHops {
		w.stats.looped.Add(1)
		return loopError(route.String())
	}
	buf := w.buffer()
	defer w.release(buf)
	*buf = appendRequest((*buf)[:0], typ, args)
	if err := w.link.checkSize(*buf, route); err != nil {
		return err
	}
	sp := w.tracer.sending(ctx, route, hops, len(*buf))
	if o.isLater() {
		s := o.schedule(route, *buf, time.Now())
		s.trace = sp.header()
		err = w.sendLater(ctx, route, s, done)
	} else {
		err = w.sendNow(ctx, route, *buf, sending{deadline, budget, jobHeader{given: o.id, hops: hops, trace: sp.header()}, done})
	}
	sp.endSend(err)
	return err
}

// sending is how one message is sent.
type sending struct {
	deadline moment
	budget   time.Duration
	header   jobHeader
	done     func(error)
}

func (w *Instance) sendNow(ctx context.Context, r *Route, payload []byte, s sending) error {
	switch {
	case !r.Durable:
		return w.sendPayload(ctx, r, payload, s.header.hops, s.deadline, s.budget, s.header.trace, tell(s.done, r))
	case s.done == nil:
		return w.sendStored(ctx, r, payload, s.header)
	}
	return w.storeSend(ctx, r, payload, s.header, s.done)
}

// Flush waits until every Send before it has reached somebody, was given up, or
// has an unknown fate because a connection broke. It returns an error that is
// [ErrUndelivered] and names the routes of those that were given up since the
// last Flush, and is [ErrDropped] when there are some of unknown fate.
func (w *Instance) Flush(ctx context.Context) error {
	if w.view.Load() == nil {
		return nil // nothing can have been sent yet
	}
	if err := w.batches.flush(ctx); err != nil {
		return err
	}
	if err := w.link.stores.settle(ctx); err != nil {
		return flushError(err)
	}
	if err := w.link.flush(ctx); err != nil {
		return flushError(err)
	}
	return nil
}

func flushError(err error) error {
	if errors.Is(err, ErrUndelivered) || errors.Is(err, ErrDropped) {
		return err
	}
	return fmt.Errorf("damrey: flush: %w", err)
}

// undeliveredError is nil when nothing was lost.
func undeliveredError(lost map[string]int, unknown int64) error {
	var errs []error
	if len(lost) > 0 {
		text, total := "", 0
		for route, n := range lost {
			text += fmt.Sprintf(", %d on %s", n, route)
			total += n
		}
		errs = append(errs, fmt.Errorf("%w: %d%s", ErrUndelivered, total, text))
	}
	if unknown > 0 {
		errs = append(errs, fmt.Errorf("%w: %d messages", ErrDropped, unknown))
	}
	return errors.Join(errs...)
}

func appendRequest(dst []byte, typ string, args []string) []byte {
	var few [10]string
	msg := append(few[:0], REQUEST, typ)
	msg = append(msg, args...)
	return wire.Append(dst, msg)
}

func loopError(at string) *fabricError {
	return &fabricError{ErrLoop, fmt.Sprintf("went over %d hops", maxHops), at}
}

// deadline of a request or send that begins now.
func (w *Instance) deadline(ctx context.Context, now moment) moment {
	if d, ok := ctx.Deadline(); ok {
		return min(momentOf(d), now.add(maxBudget))
	}
	return now.add(w.cfg.Timeout)
}

// route waits until the table was read for the first time, and looks up. A zero
// deadline is Config.Timeout from now.
func (w *Instance) route(ctx context.Context, typ string, deadline moment) (*Route, error) {
	if w.stopped() && !w.stillHandles(ctx) {
		return nil, ErrClosed
	}
	view := w.view.Load()
	if view == nil {
		if err := w.awaitTable(ctx, deadline); err != nil {
			return nil, err
		}
		view = w.view.Load()
	}
	return view.route(w.cfg.Name, typ)
}

// stillHandles: a handler that is finishing within the drain time may go on
// asking and sending.
func (w *Instance) stillHandles(ctx context.Context) bool {
	return hopsOf(ctx) > 0 && w.view.Load() != nil && !w.link.isClosed()
}

// view is what an instance knows of its own row. A nil row: not registered.
type view struct {
	row   *Row
	last  *Row // that there was
	stale bool // from the agent's copy while its uplink is down
}

// onward is route for what was taken while the worker was registered: it is
// finished along the last row when that was deleted meanwhile.
func (v *view) onward(from, typ string) (*Route, error) {
	if v.row == nil && v.last != nil {
		v = &view{row: v.last}
	}
	return v.route(from, typ)
}

func (v *view) route(from, typ string) (*Route, error) {
	if v.row == nil {
		return nil, fmt.Errorf("%w: worker %q is not registered; add it with `damrey worker add %s --command %s=WORKER`",
			ErrNoRoute, from, from, typ)
	}
	if r := v.row.Route(typ); r != nil {
		return r, nil
	}
	if err := CheckName(typ); err != nil {
		return nil, fmt.Errorf("%w: type %w", ErrNoRoute, err)
	}
	return nil, fmt.Errorf("%w: worker %q has no command %q; add it with `damrey worker chg %s --command %s=WORKER`",
		ErrNoRoute, from, typ, from, typ)
}

func (w *Instance) awaitTable(ctx context.Context, deadline moment) error {
	if deadline == 0 {
		deadline = clock().add(w.cfg.Timeout)
	}
	err := awaitChange(ctx, w.loaded, w.ended, deadline)
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: the routing table of %q could not be read in time; is Run or Serve running, and the broker?", ErrNotConnected, w.cfg.Name)
}
