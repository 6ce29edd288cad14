package damrey

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// fewCalls under way do not wait for others to be published with.
const fewCalls = 3

// begin starts a call whose route, payload, deadline and hops are set. From
// then on it is answered exactly once.
func (l *link) begin(c *call) {
	c.attempts = 1
	c.ask = askAt(c.began, c.deadline)
	if !l.calls.put(c) {
		c.finish(answer{made: Msg{STOP}, where: c.route.String()})
		return
	}
	l.count.requests.Add(1)
	l.outs.of(c.route).left(1)
	if c.route.Durable {
		l.storeCall(c)
		return
	}
	l.post(parcel{call: c.id, size: len(c.payload)}, l.calls.n.Load() <= fewCalls)
}

// pushCall publishes a call, if it still waits. What it needs is copied under
// the table's lock, since the call may be answered and used anew at any time;
// publishing may block while a link is frozen and happens outside.
func (l *link) pushCall(id uint64) {
	buf := l.scratch.Get().(*[]byte)
	defer l.scratch.Put(buf)
	var route *Route
	var reply string
	var header nats.Header
	there := l.calls.update(id, func(c *call) {
		var b [128]byte
		t := tail{kind: kindRequest, call: c.id, budget: c.deadline.left(), hops: c.hops, cost: c.route.Cost}
		reply = string(t.appendTo(b[:0], l.inbox))
		route, header = c.route, c.header
		*buf = append((*buf)[:0], c.payload...)
	})
	if there {
		l.pushed(id, route, len(*buf), l.publish(route.subject, reply, header, *buf))
	}
}

// pushed looks at how publishing a call ended. Not connected: it surely did
// not leave, so it goes out later, and that is no attempt of Rc. After another
// error of the connection it may have left, and its deadline decides.
func (l *link) pushed(id uint64, r *Route, size int, err error) {
	switch {
	case err == nil:
	case notConnected(err):
		time.AfterFunc(reconnectPoll, func() { l.pushCall(id) })
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		if c := l.calls.take(id); c != nil {
			c.finish(answer{made: unsendable(l.publishError(err, r, size), r), where: r.String()})
		}
	default:
		l.log.warn("a request may not have left", func(e *zerolog.Event) { e.Err(err).Str("route", r.String()) })
	}
}

func unsendable(err error, r *Route) Msg {
	if fe, ok := errors.AsType[*fabricError](err); ok {
		return fe.message(r.Type)
	}
	return Msg{STOP}
}

// missed is called when nobody took a call: it is pushed again after a while,
// or answered STOP after the last attempt.
func (l *link) missed(id uint64) {
	var again bool
	var wait time.Duration
	there := l.calls.update(id, func(c *call) {
		wait = backoff(c.attempts)
		again = c.attempts < l.attempts && clock().add(wait) < c.deadline
		if again {
			c.attempts++
		}
	})
	switch {
	case !there:
		l.count.late.Add(1)
	case again:
		l.count.retried.Add(1)
		time.AfterFunc(wait, func() { l.pushCall(id) })
	default:
		if c := l.calls.take(id); c != nil {
			c.finish(answer{made: Msg{STOP}, where: c.route.String()})
		}
	}
}

// deliver hands an answer to its call. A second one, or one that comes after
// the end, finds none and is counted.
func (l *link) deliver(id uint64, a answer) {
	c := l.calls.take(id)
	if c == nil {
		l.count.late.Add(1)
		return
	}
	a.path = c.pathNow()
	c.finish(a)
}

// expire is called at a call's deadline, when it has been taken.
func (l *link) expire(c *call) {
	c.finish(answer{made: Msg{TIMEOUT}, where: c.route.String(), stored: c.stored, path: c.pathNow()})
}
