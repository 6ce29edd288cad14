package damrey

import (
	"context"
	"fmt"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	probeTime = 2 * time.Second
	// handoverTime is the longest that an instance which is no longer wanted
	// waits for one at the agent that is.
	handoverTime = 5 * time.Second
	handoverPoll = 100 * time.Millisecond
	// handoverSettle is how long it stays when there is one, for the messages
	// that are on their way to it across a leaf node, which would drop them.
	handoverSettle = 500 * time.Millisecond
	pendingLimit   = 1 << 20   // messages that may wait to be looked at
	pendingMemory  = 256 << 20 // bytes of them
)

// keepGate decides whether this instance receives: its worker must be
// registered, and pinned nowhere else. It returns when ctx ends, with the
// subscription drained.
func (w *Instance) keepGate(ctx context.Context, nc *nats.Conn) {
	status := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(status)
	var sub *nats.Subscription
	said := ""
	for ctx.Err() == nil {
		why := w.closedBecause(nc)
		if sub != nil && !nc.IsConnected() {
			why = "" // where it will be connected is not known yet
		}
		if why != said {
			said = why
			w.sayGate(why)
		}
		switch {
		case why == "" && sub == nil:
			sub = w.join(ctx, nc)
		case why != "" && sub != nil && w.handOver(ctx, nc):
			w.leave(nc, sub)
			sub = nil
		}
		if sub == nil {
			w.become(w.closedState(why))
		}
		select {
		case <-w.gate:
		case <-status:
		case <-ctx.Done():
		}
	}
	if sub != nil {
		w.leave(nc, sub)
	}
}

const notYetRead = "the routing table has not been read yet"

// closedBecause says why this instance must not receive; empty when it may.
func (w *Instance) closedBecause(nc *nats.Conn) string {
	view := w.view.Load()
	switch {
	case view == nil:
		return notYetRead
	case view.row == nil:
		return fmt.Sprintf("the worker is not registered; register it with `damrey worker add %s`", w.cfg.Name)
	}
	if agent := view.row.Registration.Agent; agent != "" && agent != nc.ConnectedServerName() {
		return fmt.Sprintf("the worker is pinned to agent %q and this instance is connected to %q; it stands by", agent, nc.ConnectedServerName())
	}
	return ""
}

// closedState is the state of an instance that does not receive because of why.
func (w *Instance) closedState(why string) report.State {
	if view := w.view.Load(); why != "" && view != nil && view.row != nil {
		return report.Standby
	}
	return report.Waiting
}

func (w *Instance) sayGate(why string) {
	if why == notYetRead {
		w.log.Debug().Str("why", why).Msg("waiting")
		return
	}
	if why != "" {
		w.log.Info().Str("why", why).Msg("waiting")
		return
	}
	e := w.log.Info()
	if w.view.Load().stale {
		e = e.Bool("stale_table", true)
	}
	e.Msg("receiving")
}

// join subscribes and makes sure that messages can reach it. Nil when it is no
// longer wanted.
func (w *Instance) join(ctx context.Context, nc *nats.Conn) *nats.Subscription {
	sub, err := nc.QueueSubscribe(inboundSubject(w.opts.prefix, w.cfg.Name), w.cfg.Name, w.receive)
	if err == nil {
		err = sub.SetPendingLimits(pendingLimit, pendingMemory)
	}
	if err != nil {
		w.log.Error().Err(err).Msg("cannot subscribe; this instance receives nothing")
		return nil
	}
	w.joined.Store(sub)
	w.puller.start(func(ctx context.Context) { w.keepPulling(ctx, nc) })
	w.probe(ctx, nc)
	w.receives.Store(true)
	w.become(report.Ready)
	select {
	case <-w.ready:
	default:
		if ctx.Err() == nil {
			close(w.ready)
		}
	}
	return sub
}

// probe asks the broker something over the way that the subscription went.
// Subscribed and flushed is not yet reachable across a leaf node; what was
// answered behind the subscription proves that the broker has it.
func (w *Instance) probe(ctx context.Context, nc *nats.Conn) {
	for ctx.Err() == nil && !w.view.Load().stale {
		short, cancel := context.WithTimeout(ctx, probeTime)
		_, err := nc.RequestWithContext(short, brokerInfo, nil)
		cancel()
		if err == nil {
			return
		}
		w.log.warn("the broker does not answer the probe yet; trying on", func(e *zerolog.Event) { e.Err(err) })
		pause(ctx, handoverPoll)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(jitter(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// leave drains: what the broker has chosen this instance for is still taken.
func (w *Instance) leave(nc *nats.Conn, sub *nats.Subscription) {
	w.receives.Store(false)
	w.become(report.Draining)
	w.puller.stop()
	if n, err := sub.Dropped(); err == nil && n > 0 {
		w.stats.busy.Add(uint64(n))
	}
	w.joined.Store(nil)
	drain(nc, sub, max(w.opts.drainTime, time.Second), w.log)
}

// drain ends a subscription and returns when its last message has been taken.
// Without a connection nothing more can come, and nobody could confirm it.
func drain(nc *nats.Conn, sub *nats.Subscription, limit time.Duration, log *throttledLog) {
	if !nc.IsConnected() {
		_ = sub.Unsubscribe() // fails only on a closed connection
		return
	}
	closed := sub.StatusChanged(nats.SubscriptionClosed)
	if err := sub.Drain(); err != nil {
		log.warn("could not drain the subscription", func(e *zerolog.Event) { e.Err(err) })
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		log.warn("the subscription did not drain in time", nil)
	}
}

// finish lets what was received end: within the drain time by itself, then by
// STOP.
func (w *Instance) finish(endHandling context.CancelFunc) {
	w.channels.stopTaking()
	timer := time.NewTimer(w.opts.drainTime)
	defer timer.Stop()
	select {
	case <-w.dispatch.drained():
	case <-timer.C:
	}
	for _, in := range w.dispatch.takeQueue() {
		w.stopOne(in)
	}
	for _, in := range w.dispatch.inHand() {
		w.stopOne(in)
	}
	endHandling()
	w.dispatch.dismiss()
	ctx, cancel := context.WithTimeout(context.Background(), max(time.Second, w.opts.drainTime/4))
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		w.log.Warn().Err(err).Msg("stopped with sends that were not delivered")
	}
}

// stopOne answers STOP to one message that will not be finished. One that was
// not started surely did not run, and its sender may try another instance.
func (w *Instance) stopOne(in *inbound) {
	w.stats.stopped.Add(1)
	if in.job != nil {
		w.handBackJob(in)
		return
	}
	if in.answerTo() == "" {
		w.log.warn("a send was not finished when the instance stopped", func(e *zerolog.Event) { e.Str("route", in.where()) })
		return
	}
	if !in.answered.CompareAndSwap(false, true) {
		return
	}
	if in.started.Load() != 0 || !w.link.mayAnswer(in.reply) {
		w.link.stop(in.answerTo(), in.where(), false)
		return
	}
	w.link.stop(in.reply, in.where(), true)
}
