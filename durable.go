package damrey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// SendAsync is Send without waiting: what became of the message is known when
// the future is done. On a durable route it is nil once the broker has stored
// it. On a direct one it is nil once an instance's subscription took it, else
// [ErrUndelivered] or [ErrDropped]. It waits only while 4,096 sends of this
// instance are under way, until ctx or Config.Timeout ends.
func (w *Instance) SendAsync(ctx context.Context, typ string, args ...string) *Future {
	return w.sendAsync(ctx, sendOptions{}, typ, args)
}

func (w *Instance) sendAsync(ctx context.Context, o sendOptions, typ string, args []string) *Future {
	f := newFuture()
	if err := ctx.Err(); err != nil {
		f.end(notBegun(err))
		return f
	}
	if err := w.sendWith(ctx, 0, w.cfg.Timeout, o, typ, args, f.end); err != nil {
		f.end(err)
	}
	return f
}

// tell makes a push's fate an error.
func tell(done func(error), r *Route) func(fate) {
	if done == nil {
		return nil
	}
	return func(f fate) {
		switch f {
		case delivered:
			done(nil)
		case undelivered:
			done(&fabricError{ErrUndelivered, "no instance took it", r.String()})
		default:
			done(&fabricError{ErrDropped, "1 message", r.String()})
		}
	}
}

// storePayload stores an encoded message for a durable route and calls done
// when it is known whether it is. An empty id is made up. With a key it waits
// while messages of the route are held back.
func (l *link) storePayload(ctx context.Context, r *Route, payload []byte, j jobHeader, deadline moment, done func(error)) error {
	s, err := l.storingOf(r, payload, j, deadline, done)
	if err != nil {
		return err
	}
	if r.Key != 0 {
		return l.storeInTurn(ctx, r, s)
	}
	return l.store(ctx, s)
}

// queuePayload is storePayload for who has one goroutine for all routes: it
// does not wait for one of them.
func (l *link) queuePayload(r *Route, payload []byte, j jobHeader, deadline moment, done func(error)) error {
	s, err := l.storingOf(r, payload, j, deadline, done)
	if err != nil {
		return err
	}
	if r.Key != 0 {
		return l.storeQueued(r, s)
	}
	return l.store(context.Background(), s)
}

func (l *link) storingOf(r *Route, payload []byte, j jobHeader, deadline moment, done func(error)) (storing, error) {
	m, key, err := r.job(append([]byte(nil), payload...))
	if err != nil {
		return storing{}, err
	}
	var marker *nats.Msg
	switch {
	case j.given != "":
		marker = idMarker(l.prefix, r, j.given, payload)
		// The id may be used again, for another worker or later; what follows from
		// one of them is not what follows from the other. Its window may be shorter
		// than the time for which one sending is repeated.
		id := l.newID()
		m.Header.Set(HeaderID, id)
		m.Header.Set(HeaderOriginalID, j.given)
		m.Header.Set(HeaderLineage, j.given+"."+id)
	case j.id != "":
		m.Header.Set(HeaderID, j.id)
	default:
		m.Header.Set(HeaderID, l.newID())
	}
	if j.reply != "" {
		m.Header.Set(HeaderReply, j.reply)
	}
	if j.hops > 0 {
		m.Header.Set(HeaderHops, strconv.Itoa(j.hops))
	}
	if j.path != "" {
		m.Header.Set(HeaderPath, j.path)
	}
	if fe := l.checkStored(m, r); fe != nil {
		return storing{}, fe
	}
	if most := l.mostStored(); most == 0 || len(m.Data)+headerSize(m.Header)+headerSize(j.trace) <= most {
		maps.Copy(m.Header, j.trace) // tracing makes no message too large
	}
	lane := ""
	if r.Key != 0 {
		lane = r.To + " " + key
	}
	return storing{msg: m, marker: marker, at: r.String(), deadline: deadline, done: done, lane: lane, patient: j.patient}, nil
}

// newID is an id that no other message has.
func (l *link) newID() string { return l.inboxToken() + "-" + strconv.FormatUint(l.jobs.Add(1), 36) }

// Job is a message as it is stored on a durable route, but for its id. The
// error is [ErrMalformed]: the message has no argument that is the route's key.
func (r *Route) Job(payload []byte) (*nats.Msg, error) {
	m, _, err := r.job(payload)
	return m, err
}

func (r *Route) job(payload []byte) (m *nats.Msg, key string, err error) {
	m = &nats.Msg{Subject: r.subject, Data: payload, Header: make(nats.Header, 4)}
	if r.Key != 0 {
		if key, err = r.keyOf(payload); err != nil {
			return nil, "", err
		}
		m.Subject += "." + strconv.Itoa(partitionOf(key))
		m.Header.Set(HeaderKey, strconv.Itoa(int(r.Key)-1))
	}
	if r.Paused {
		m.Subject += "." + nuid.Next()
	}
	if r.Cost != DefaultCommandMPU {
		m.Header.Set(HeaderCost, strconv.Itoa(r.Cost))
	}
	if r.Attempts != DefaultAttempts {
		m.Header.Set(HeaderAttempts, strconv.Itoa(r.Attempts))
	}
	if r.Backoff != DefaultBackoff {
		m.Header.Set(HeaderBackoff, r.Backoff.String())
	}
	return m, key, nil
}

// jobHeader is what a stored message carries beside its payload.
type jobHeader struct {
	id    string // so that it is stored once; empty: one is made up
	given string // the application's, instead of id
	reply string // where an answer goes; empty: none is wanted
	hops  int
	path  string      // the routes behind it
	trace nats.Header // nil: it is not traced
	// patient is of what a stored message leads to: it waits while nothing can be
	// stored, since the message would only fail.
	patient bool
}

// storeDeadline is how long storing goes on trying.
func (w *Instance) storeDeadline(ctx context.Context) moment {
	now := clock()
	if _, ok := ctx.Deadline(); ok {
		return w.deadline(ctx, now)
	}
	return now.add(max(w.cfg.Timeout, storeTime))
}

// sendStored is Send on a durable route. It returns when the broker has it.
func (w *Instance) sendStored(ctx context.Context, r *Route, payload []byte, j jobHeader) error {
	result := make(chan error, 1)
	err := w.storeSend(ctx, r, payload, j, func(err error) { result <- err })
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		select {
		case err := <-result:
			return err
		default:
		}
		return fmt.Errorf("%w (%s)", &doubt{why: context.Cause(ctx), id: j.given != ""}, r)
	}
}

func (w *Instance) storeSend(ctx context.Context, r *Route, payload []byte, j jobHeader, done func(error)) error {
	w.stats.sends.Add(1)
	w.link.outs.of(r).left(1)
	return w.link.storePayload(ctx, r, payload, j, w.storeDeadline(ctx), done)
}

// storeCall stores a call's message on its durable route. The requester's inbox
// travels in a header, since JetStream takes the reply subject for itself.
func (l *link) storeCall(c *call) {
	id, r, deadline := c.id, c.route, c.deadline
	t := tail{kind: kindRequest, call: id, budget: deadline.left(), hops: c.hops, cost: r.Cost}
	j := jobHeader{given: c.given, reply: string(t.appendTo(nil, l.inbox)), hops: c.hops, trace: c.header}
	ctx, cancel := context.WithDeadline(context.Background(), deadline.time())
	defer cancel()
	err := l.storePayload(ctx, r, c.payload, j, deadline, func(err error) { l.callStored(id, r, err) })
	if err != nil {
		l.callStored(id, r, err)
	}
}

// callStored is called when it is known whether a call's message is stored.
func (l *link) callStored(id uint64, r *Route, err error) {
	if err == nil {
		l.calls.update(id, func(c *call) { c.stored = true })
		return
	}
	c := l.calls.take(id)
	if c == nil {
		return
	}
	if errors.Is(err, ErrClosed) {
		c.finish(answer{made: Msg{STOP}, where: r.String()})
		return
	}
	c.finish(answer{made: unstored(err, r).message(r.Type), where: r.String()})
}

// kindOfStore is what a requester is told when its message could not be stored.
func kindOfStore(err error) error {
	for _, kind := range []error{ErrFull, ErrTooLarge, ErrIDConflict, ErrMalformed} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return ErrFailed
}

// unstored is an error of storing as an ERROR says it, which has the kind and the
// route beside its text.
func unstored(err error, r *Route) *fabricError {
	kind := kindOfStore(err)
	text := strings.TrimSuffix(err.Error(), " ("+r.String()+")")
	text = strings.TrimPrefix(strings.TrimPrefix(text, kind.Error()+": "), "damrey: ")
	var unknown *doubt
	if !errors.As(err, &unknown) {
		text = "could not be stored: " + text
	}
	return &fabricError{kind, text, r.String()}
}

// doubling is the pause after so many failures.
func doubling(first time.Duration, failures int) time.Duration {
	d := min(first, MaxBackoff)
	for ; failures > 1 && d < MaxBackoff; failures-- {
		d = min(2*d, MaxBackoff)
	}
	return jitter(d)
}
