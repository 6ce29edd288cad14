package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

const (
	burialBatch = 256         // messages are moved at once
	burialPull  = time.Second // how long new ones are waited for
	// unseenTime is longer than a message stays in a hand that says nothing: then the broker hands it out again.
	unseenTime = bucket.AckWait + 2*time.Second
)

// ackWatch sees which messages of a stream are in the hands of instances: those say so every few seconds.
type ackWatch struct {
	stream string
	subs   []*nats.Subscription
	since  time.Time

	mu   sync.Mutex // guards seen
	seen map[uint64]time.Time
}

func watchHands(nc *nats.Conn, stream string) (*ackWatch, error) {
	w := &ackWatch{stream: stream, since: time.Now(), seen: make(map[uint64]time.Time)}
	// The second form has the domain and the account before the stream.
	for _, subject := range []string{"$JS.ACK." + stream + ".>", "$JS.ACK.*.*." + stream + ".>"} {
		sub, err := nc.Subscribe(subject, func(m *nats.Msg) { w.see(m.Subject) })
		if err != nil {
			w.stop()
			return nil, fmt.Errorf("%w: %w", errAway, err)
		}
		w.subs = append(w.subs, sub)
	}
	return w, nil
}

func (w *ackWatch) stop() {
	for _, sub := range w.subs {
		_ = sub.Unsubscribe() // fails only on a closed connection
	}
}

// see reads the stream, the consumer, the count of deliveries and the message's sequence.
func (w *ackWatch) see(subject string) {
	_, rest, _ := strings.Cut(subject, "."+w.stream+".")
	tokens := strings.Split(rest, ".")
	if len(tokens) < 3 {
		return
	}
	if sequence, err := strconv.ParseUint(tokens[2], 10, 64); err == nil {
		w.mark(sequence)
	}
}

func (w *ackWatch) mark(sequence uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[sequence] = time.Now()
}

// unseen says that for long enough nobody had a message in hand.
func (w *ackWatch) unseen(sequence uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.seen[sequence]
	if !ok {
		at = w.since
	}
	return time.Since(at) > unseenTime
}

// takeAll moves what the consumers of the stream hand out now.
func (b *burial) takeAll(ctx context.Context, stream jetstream.Stream, hands *ackWatch) (taken int, err error) {
	consumers := stream.ConsumerNames(ctx)
	var names []string
	for name := range consumers.Name() {
		names = append(names, name)
	}
	if err := consumers.Err(); err != nil {
		return 0, err
	}
	for _, name := range names {
		consumer, err := stream.Consumer(ctx, name)
		if err != nil {
			return taken, err
		}
		n, err := b.take(ctx, consumer, hands)
		taken += n
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

func (b *burial) take(ctx context.Context, consumer jetstream.Consumer, hands *ackWatch) (int, error) {
	info := consumer.CachedInfo()
	if info.NumPending == 0 {
		return 0, nil
	}
	opts := []jetstream.FetchOpt{jetstream.FetchMaxWait(burialPull)}
	if len(info.Config.PriorityGroups) > 0 {
		opts = append(opts, jetstream.FetchPriorityGroup(info.Config.PriorityGroups[0]))
	}
	batch, err := consumer.Fetch(burialBatch, opts...)
	if err != nil {
		return 0, err
	}
	var moving []*moving
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return 0, err
		}
		hands.mark(meta.Sequence.Stream)
		if b.refused[meta.Sequence.Stream] != nil {
			continue
		}
		moving = append(moving, b.letter(ctx, m.Subject(), m.Headers(), m.Data(),
			damrey.Burial{Sequence: meta.Sequence.Stream, Stored: meta.Timestamp, Handouts: meta.NumDelivered}, m.Ack))
	}
	n, err := b.moveAll(ctx, moving)
	return n, errors.Join(err, batch.Error())
}

// takePostponed moves what waits for its next attempt, in order of the stream.
func (b *burial) takePostponed(ctx context.Context, stream jetstream.Stream, hands *ackWatch) error {
	var all []*moving
	for next := uint64(1); len(all) < burialBatch; {
		m, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(b.subjects()))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return err
		}
		next = m.Sequence + 1
		if !b.isMarker(m.Subject) && hands.unseen(m.Sequence) && b.refused[m.Sequence] == nil {
			done := func() error { return ignore(remove(ctx, stream, m.Sequence), jetstream.ErrMsgNotFound) }
			all = append(all, b.letter(ctx, m.Subject, m.Header, m.Data,
				damrey.Burial{Sequence: m.Sequence, Stored: m.Time, Handouts: 2}, done))
		}
	}
	_, err := b.moveAll(ctx, all)
	return err
}

// moving is a message on its way to the dead letters. It is removed from where it was when it is there.
type moving struct {
	sequence uint64 // where it was
	stored   jetstream.PubAckFuture
	err      error
	remove   func() error
}

// letter begins to store one; grave says which message it is.
func (b *burial) letter(ctx context.Context, subject string, h nats.Header, payload []byte, grave damrey.Burial, remove func() error) *moving {
	tokens := strings.Split(subject, ".") // the prefix, job or held, the worker, type, from
	grave.Worker, grave.Type, grave.From, grave.ID = b.worker, "_", "_", h.Get(damrey.HeaderOriginalID)
	grave.Why, grave.Instance, grave.MaxPayload = fmt.Sprintf("worker %s was deleted", b.worker), "damrey-proxy", b.store.nc.MaxPayload()
	if len(tokens) > 4 {
		grave.Type, grave.From = tokens[3], tokens[4]
	}
	if grave.ID == "" {
		grave.ID = h.Get(damrey.HeaderID)
	}
	if grave.Handouts > 1 {
		b.remember(ctx, &grave)
	}
	moving := &moving{sequence: grave.Sequence, remove: remove}
	moving.stored, moving.err = b.store.js.PublishMsgAsync(grave.Letter(b.store.prefix, h, payload))
	return moving
}

// remember adds what is known of the failures before; when that cannot be read, it is moved without.
func (b *burial) remember(ctx context.Context, grave *damrey.Burial) {
	stream, err := b.store.js.Stream(ctx, bucket.TriedStream(b.store.prefix))
	if err != nil {
		return
	}
	m, err := stream.GetLastMsgForSubject(ctx, fmt.Sprintf("%s.tried.%s.%d", b.store.prefix, b.worker, grave.Sequence))
	var tried struct {
		ID       string    `json:"id"`
		Stored   time.Time `json:"stored"`
		Failures int       `json:"failures"`
		Error    string    `json:"error"`
	}
	if err != nil || json.Unmarshal(m.Data, &tried) != nil || tried.ID != grave.ID || !tried.Stored.Equal(grave.Stored) || tried.Failures == 0 {
		return
	}
	grave.Failures = tried.Failures
	grave.Why += "; the attempt before: " + tried.Error
}

// moveAll waits until each is stored, and removes it only then. One that cannot be stored stays: it is noted when that is
// its own fault, so that the others go on, and is the error when it is the broker's.
func (b *burial) moveAll(ctx context.Context, all []*moving) (n int, err error) {
	for _, m := range all {
		if m.err == nil {
			m.err = m.settled(ctx)
		}
		if isRefused(m.err) {
			b.refused[m.sequence] = m.err
			continue
		}
		if m.err == nil {
			m.err = m.remove()
		}
		if m.err == nil {
			n++
			b.moved.Add(1)
		} else if err == nil {
			err = fmt.Errorf("a message could not be moved to the dead letters and stays: %w", m.err)
		}
	}
	return n, err
}

// isRefused says that the broker would store another message, but not this one.
func isRefused(err error) bool {
	refusal, refused := errors.AsType[*jetstream.APIError](err)
	return refused && refusal.Code == http.StatusBadRequest || errors.Is(err, nats.ErrMaxPayload)
}

func (m *moving) settled(ctx context.Context) error {
	select {
	case <-m.stored.Ok():
		return nil
	case err := <-m.stored.Err():
		return err
	case <-time.After(patience):
		return fmt.Errorf("%w: no answer in %v", errAway, patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}
