package damrey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SendOption changes how one message is sent; see [Instance.With].
type SendOption func(*sendOptions)

type sendOptions struct {
	id    string
	hasID bool
	delay *time.Duration // not nil: later
	at    *time.Time     // not nil: later
}

// maxID is the longest id of an application, in bytes.
const maxID = 256

// WithID gives the message an id of the application's own, such as an order's
// number. A second message under the id within the route's window is not stored
// again, also after a restart of the broker, and counts as sent; one with
// another content is [ErrIDConflict]. Only on durable routes, or with
// [WithDelay] or [WithAt]. As long as an id is remembered it counts as one
// message more towards the max_messages and max_bytes of the route's target.
func WithID(id string) SendOption { return func(o *sendOptions) { o.id, o.hasID = id, true } }

// Sender sends with options. It is a value; use it at once or keep it.
type Sender struct {
	w *Instance
	o sendOptions
}

// With gives a sender with options:
//
//	err := w.With(damrey.WithID("order-42")).Send(ctx, "pay", "42")
func (w *Instance) With(opts ...SendOption) Sender {
	s := Sender{w: w}
	for _, opt := range opts {
		opt(&s.o)
	}
	return s
}

// Send is [Instance.Send] with the options.
func (s Sender) Send(ctx context.Context, typ string, args ...string) error {
	return s.w.send(ctx, s.o, typ, args)
}

// SendAsync is [Instance.SendAsync] with the options.
func (s Sender) SendAsync(ctx context.Context, typ string, args ...string) *Future {
	return s.w.sendAsync(ctx, s.o, typ, args)
}

// Request is [Instance.Request] with the options. A second one under an id is
// not stored, so that only the first gets an answer.
func (s Sender) Request(ctx context.Context, typ string, args ...string) (Msg, error) {
	return s.w.request(ctx, s.o, typ, args)
}

// check says whether the options can be had on a route.
func (o sendOptions) check(r *Route) error {
	switch {
	case o.isLater():
		return o.checkLater(r, time.Now())
	case !o.hasID:
		return nil
	}
	if err := CheckScheduleID(o.id); err != nil {
		return fmt.Errorf("%w: WithID: the id %w (%s)", ErrNotStored, err, r)
	}
	if !r.Durable {
		return fmt.Errorf("%w: WithID(%s) needs a durable route (%s); make it one with `damrey worker chg %s --command %s=%s,durable`",
			ErrNotStored, quoteClip(o.id), r, r.From, r.Type, r.To)
	}
	return nil
}

// MessageID is the id of the stored message that a handler of a durable route
// was called with, for making its effects idempotent: a message that runs twice
// has the same. Empty on a direct route and outside of a handler.
func MessageID(ctx context.Context) string {
	if j, ok := ctx.Value(jobKey{}).(*job); ok && j != nil {
		return j.id()
	}
	return ""
}

type jobKey struct{}

// idMarker is what is stored together with a message under an application's
// id, both or none: as long as it is there, no other is taken.
func idMarker(prefix string, r *Route, id string, payload []byte) *nats.Msg {
	return &nats.Msg{
		Subject: idSubject(prefix, r.To, digest([]byte(id))),
		Data:    []byte(digest([]byte(jobSubject(prefix, r.To, r.Type, r.From)), payload)),
		Header: nats.Header{
			jetstream.ExpectedLastSubjSeqHeader: {"0"},
			jetstream.MsgTTLHeader:              {strconv.Itoa(max(1, int((r.Window+time.Second-1)/time.Second))) + "s"},
		},
	}
}

func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(p) // never fails
		_, _ = h.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}
