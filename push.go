package damrey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	headerWhere     = "Damrey-Where"     // on STOP: the route that nobody took
	headerSpent     = "Damrey-Spent"     // on TIMEOUT: how long the message was at headerWhere
	headerUnstarted = "Damrey-Unstarted" // on STOP: the message surely did not run
)

// publish puts a message into the connection's buffer. Headers cost half the
// throughput, so only those that are traced have one.
func (l *link) publish(subject, reply string, header nats.Header, payload []byte) error {
	if header == nil {
		return l.nc.PublishRequest(subject, reply, payload)
	}
	return l.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: header, Data: payload})
}

// sendsPass: a send would not have to wait now.
func (l *link) sendsPass() bool { return l.state.up.Load() && !l.ring.isFull() }

// send pushes p and returns when it is in the connection's buffer.
func (l *link) send(ctx context.Context, p push) error {
	p.stamp()
	for {
		err := l.add(ctx, p, false)
		switch {
		case err == nil:
			l.outs.of(p.route).left(p.count)
			return nil
		case notConnected(err):
			if err := l.awaitSend(ctx, p); err != nil {
				return err
			}
			p.budget = p.deadline.left()
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("%w: %d sends wait to be confirmed (%s): %w", ErrFull, ringLimit, p.route, err)
		default:
			return l.publishError(err, p.route, len(p.payload))
		}
	}
}

func (l *link) awaitSend(ctx context.Context, p push) error {
	ctx, cancel := context.WithDeadline(ctx, p.deadline.time())
	defer cancel()
	if err := l.awaitConnection(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, p.route)
	}
	return nil
}

// publishError puts nats.go's refusals into this package's words.
func (l *link) publishError(err error, r *Route, size int) error {
	switch {
	case errors.Is(err, ErrClosed):
		return err
	case errors.Is(err, nats.ErrMaxPayload):
		return tooLarge(size, l.state.maxPayload.Load(), r.String())
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return fmt.Errorf("%w: the connection is closed (%s)", ErrNotConnected, r)
	}
	return fmt.Errorf("%w: %w (%s)", ErrNotConnected, err, r)
}

func tooLarge(size int, limit int64, at string) *fabricError {
	return &fabricError{ErrTooLarge, fmt.Sprintf("%d bytes are more than the broker's max_payload of %d", size, limit), at}
}

// comeBack is called when nobody was there for what was pushed under id. False
// when that is not known any more.
func (l *link) comeBack(id uint64) bool {
	p, ok := l.ring.take(id)
	if !ok {
		return false
	}
	wait := backoff(p.attempts)
	if p.attempts >= l.attempts || clock().add(wait) > p.deadline {
		l.giveUp(p, "no instance took it")
		return true
	}
	l.count.retried.Add(1)
	l.retries.later(l, wait, p)
	return true
}

// pushAgain pushes what came back once more.
func (l *link) pushAgain(p push) {
	err := l.add(context.Background(), p, true)
	switch {
	case err == nil:
	case notConnected(err) && clock() < p.deadline:
		l.retries.later(l, reconnectPoll, p)
	default:
		l.giveUp(p, err.Error())
	}
}

// giveUp ends a push that nobody took: the requester of a forward gets STOP, a
// send is counted, logged and told as an event.
func (l *link) giveUp(p push, why string) {
	if p.gone != nil {
		p.gone(why)
	}
	if p.kind == kindRequest {
		l.outs.of(p.route).ended(STOP)
		l.ring.settle(p, false)
		l.stop(p.rest, p.route.String(), false)
		return
	}
	if p.settled != nil {
		p.settled(undelivered)
	}
	l.count.undelivered.Add(uint64(p.count))
	l.outs.of(p.route).lost(p.count)
	l.ring.settle(p, true)
	l.events.add(l, p.route, p.count, why)
	l.log.warn("undelivered", func(e *zerolog.Event) {
		e.Str("route", p.route.String()).Int("messages", p.count).Int("attempts", p.attempts).Str("why", why)
	})
}

// stop answers STOP, with what is known beyond it in headers.
func (l *link) stop(to, at string, unstarted bool) {
	m := nats.NewMsg(to)
	m.Data = []byte(`["STOP"]`)
	m.Header.Set(headerWhere, at)
	if unstarted {
		m.Header.Set(headerUnstarted, "true")
	}
	l.answerMsg(m)
}

// timeout answers TIMEOUT, with where the time was spent in headers.
func (l *link) timeout(to, at string, spent time.Duration) {
	m := nats.NewMsg(to)
	m.Data = []byte(`["TIMEOUT"]`)
	m.Header.Set(headerWhere, at)
	m.Header.Set(headerSpent, max(0, spent).Round(time.Microsecond).String())
	l.answerMsg(m)
}

// answer publishes an answer. While the connection is down it waits, since the
// answer surely did not leave, until the requester has given up.
func (l *link) answer(to string, payload []byte, deadline moment) {
	err := l.nc.Publish(to, payload)
	if notConnected(err) {
		ctx, cancel := context.WithDeadline(context.Background(), deadline.time())
		defer cancel()
		if l.awaitConnection(ctx) == nil {
			err = l.nc.Publish(to, payload)
		}
	}
	l.answered(to, err)
}

func (l *link) answerMsg(m *nats.Msg) { l.answered(m.Subject, l.nc.PublishMsg(m)) }

func (l *link) answered(to string, err error) {
	if err == nil {
		l.count.answered.Add(1)
		return
	}
	l.log.warn("an answer could not leave; its requester gets TIMEOUT",
		func(e *zerolog.Event) { e.Err(err).Str("to", to) })
}
