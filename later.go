package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go/jetstream"
)

// WithDelay sends the message when d has passed, up to a year. Send returns nil
// when the broker has stored it, whatever the route is. When it is due, its
// route is looked up, and from then on that route's own guarantee holds: it is
// stored on a durable route and sent on a direct one, and when that fails too
// often it goes to the dead letters. Its hops are counted anew. Not for
// requests.
//
// With [WithID] it can be cancelled, see [Instance.Cancel]. As long as it
// waits, a second one under the id with the same delay, type and arguments is
// not stored and counts as sent; anything else is [ErrIDConflict]. The ids are
// the fabric's, not the worker's. On a durable route the id is remembered, from
// when it was due, for the route's window.
func WithDelay(d time.Duration) SendOption { return func(o *sendOptions) { o.delay = &d } }

// WithAt is [WithDelay] with a time, which must not have passed. The time is by
// the broker's clock.
func WithAt(t time.Time) SendOption { return func(o *sendOptions) { o.at = &t } }

// isLater says that the message is not to be sent now.
func (o sendOptions) isLater() bool { return o.delay != nil || o.at != nil }

// checkLater says whether the options can be had together.
func (o sendOptions) checkLater(r *Route, now time.Time) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s (%s)", ErrNotStored, fmt.Sprintf(format, args...), r)
	}
	switch {
	case o.delay != nil && o.at != nil:
		return wrong("WithDelay and WithAt: give one of them")
	case o.delay != nil && *o.delay < 0:
		return wrong("WithDelay(%v) is negative; use 0 or more", *o.delay)
	case o.delay != nil && *o.delay > MaxLater:
		return wrong("WithDelay(%v) is over a year; use at most %v", *o.delay, MaxLater)
	case o.at != nil && o.at.Before(now):
		return wrong("WithAt(%s) has passed, it is %s; use a time to come, or leave WithAt out to send it now",
			o.at.Format(time.RFC3339Nano), now.In(o.at.Location()).Format(time.RFC3339Nano))
	case o.at != nil && o.at.Sub(now) > MaxLater:
		return wrong("WithAt(%s) is over a year away, it is %s; use at most %v",
			o.at.Format(time.RFC3339Nano), now.In(o.at.Location()).Format(time.RFC3339Nano), MaxLater)
	}
	if !o.hasID {
		return nil
	}
	if err := CheckScheduleID(o.id); err != nil {
		return wrong("WithID: the id %v", err)
	}
	return nil
}

// schedule is the message as it is stored until it is due.
func (o sendOptions) schedule(r *Route, payload []byte, now time.Time) Schedule {
	s := Schedule{ID: o.id, From: r.From, Type: r.Type, Payload: append([]byte(nil), payload...)}
	if o.at != nil {
		s.Pattern, s.Asked = AtMoment(*o.at), "at "+o.at.UTC().Format(time.RFC3339Nano)
		return s
	}
	s.Pattern, s.Asked = AtMoment(now.Add(*o.delay)), "delay "+o.delay.String()
	return s
}

// sendLater stores a message until it is due. A nil done waits for the end.
func (w *Instance) sendLater(ctx context.Context, r *Route, s Schedule, done func(error)) error {
	if err := bucket.NeedsLater(w.link.nc.ConnectedServerVersion()); err != nil {
		return fmt.Errorf("%w: %w (%s)", ErrNotStored, err, r)
	}
	if done == nil {
		future := newFuture()
		if err := w.sendLater(ctx, r, s, future.end); err != nil {
			return err
		}
		select {
		case <-future.Done():
			return future.Err()
		case <-ctx.Done():
			return fmt.Errorf("%w (%s)", &doubt{why: context.Cause(ctx), id: s.ID != ""}, r)
		}
	}
	storeID := w.link.inboxToken() + "-" + strconv.FormatUint(w.link.jobs.Add(1), 36)
	s.key = storeID
	m := s.Message(w.opts.prefix, storeID)
	if fe := w.link.checkStored(m, r); fe != nil {
		return fe
	}
	w.stats.sends.Add(1)
	return w.link.store(ctx, storing{msg: m, at: r.String(), deadline: w.storeDeadline(ctx), done: done})
}

// cancelTime bounds Cancel where its context does not.
const cancelTime = 5 * time.Second

// Cancel takes back a message that was sent with [WithDelay] or [WithAt] and
// [WithID], or a schedule of that id. [ErrNotScheduled] says that nothing waits
// under the id: it was sent, was cancelled before, or there never was one.
// What comes due in the same moment may be sent although Cancel returns nil.
func (w *Instance) Cancel(ctx context.Context, id string) error {
	if err := CheckScheduleID(id); err != nil {
		return fmt.Errorf("damrey: cancel: id %w", err)
	}
	if w.view.Load() == nil {
		if err := w.awaitTable(ctx, 0); err != nil {
			return err
		}
	}
	js, err := jetstream.New(w.link.nc)
	if err != nil {
		return fmt.Errorf("damrey: cancel %s: %w", quoteClip(id), err)
	}
	return CancelSchedule(ctx, js, w.opts.prefix, id)
}

// CancelSchedule is [Instance.Cancel] for programs that are no instance. The
// name is an id, or the key of a message that was given none.
func CancelSchedule(ctx context.Context, js jetstream.JetStream, prefix, name string) error {
	ctx, cancel := context.WithTimeout(ctx, cancelTime)
	defer cancel()
	keys := []string{Schedule{ID: name}.Key()}
	if !strings.ContainsAny(name, ". *>") { // a key that somebody published under by hand may be no name
		keys = append(keys, name)
	}
	var purged uint64
	for _, key := range keys {
		// First what waits, so that it cannot come due behind.
		for _, subject := range []string{LaterSubject(prefix, key), DueSubject(prefix, "*", "*", key)} {
			n, err := purge(ctx, js, bucket.LaterStream(prefix), subject)
			if err != nil {
				return fmt.Errorf("damrey: cancel %s: %w", quoteClip(name), err)
			}
			purged += n
		}
		// What is known of it would be taken for the next one's of this id.
		if _, err := purge(ctx, js, bucket.TriedStream(prefix), FiringSubject(prefix, key)); err != nil {
			return fmt.Errorf("damrey: cancel %s: %w", quoteClip(name), err)
		}
	}
	if purged == 0 {
		return fmt.Errorf("%w: %s", ErrNotScheduled, quoteClip(name))
	}
	return nil
}

// purge tells how many it removed, which the client library does not.
func purge(ctx context.Context, js jetstream.JetStream, stream, subject string) (uint64, error) {
	body, err := json.Marshal(map[string]string{"filter": subject})
	if err != nil {
		return 0, err
	}
	var got struct {
		Purged uint64 `json:"purged"`
	}
	err = askJetStream(ctx, js.Conn(), "STREAM.PURGE."+stream, body, &got)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil // and so nothing waits
	}
	return got.Purged, err
}
