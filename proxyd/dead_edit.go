package proxyd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/wire"
)

// edit stores a changed copy of a letter and removes the letter only then. The copy has a number of its own, so that
// whoever changed the same letter meanwhile finds it gone.
func (d *deadLetters) edit(ctx context.Context, sequence uint64, change api.DeadEdit) (done api.DeadEdited, err error) {
	if err := checkEdit(change); err != nil {
		return done, err
	}
	err = d.inHand(ctx, sequence, func(ctx context.Context, stream jetstream.Stream, letter *jetstream.RawStreamMsg) error {
		edited, err := d.edited(letter, change)
		if err != nil {
			return err
		}
		done = api.DeadEdited{Was: sequence}
		done.Sequence, err = d.replace(ctx, stream, letter, edited)
		return err
	})
	return done, err
}

// checkEdit refuses what could be no message.
func checkEdit(change api.DeadEdit) error {
	if change.Type == "" && change.Args == nil {
		const message = "nothing to change; give type, args, or both"
		return at(problem(http.StatusUnprocessableEntity, message), "body", message, nil)
	}
	if change.Type == "" {
		return nil
	}
	if err := damrey.CheckName(change.Type); err != nil {
		return at(problem(http.StatusUnprocessableEntity, "type %v", err), "body.type", err.Error(), shorten(change.Type))
	}
	return nil
}

// edited is a letter with another message. Its history stays: why it died, where, and its id.
func (d *deadLetters) edited(letter *jetstream.RawStreamMsg, change api.DeadEdit) (*nats.Msg, error) {
	worker, typ, from := parseDeadSubject(d.store.prefix, letter.Subject)
	if err := errors.Join(damrey.CheckName(worker), damrey.CheckName(from)); err != nil {
		return nil, stays("its subject %q names no worker and sender", shorten(letter.Subject))
	}
	message, err := wire.Decode(letter.Data)
	switch {
	case change.Args != nil:
		message = damrey.NewRequest("", *change.Args...)
	case err != nil || len(message) < 2:
		return nil, stays("its payload is no message; give its arguments too, such as `damrey dead edit %d --message '[\"REQUEST\",\"add\",\"1\"]'`",
			letter.Sequence)
	}
	if change.Type != "" {
		typ = change.Type
	}
	message[0], message[1] = damrey.REQUEST, typ
	if err := damrey.CheckName(typ); err != nil {
		return nil, stays("its subject %q names no type: give one", shorten(letter.Subject))
	}
	m := &nats.Msg{Subject: damrey.DeadSubject(d.store.prefix, worker, typ, from), Data: wire.Append(nil, message), Header: nats.Header{}}
	for name, values := range letter.Header {
		if !strings.HasPrefix(name, "Nats-") { // what was asked of JetStream, and what it adds to tell what it gives
			m.Header[name] = values
		}
	}
	id := "edit." + strconv.FormatUint(letter.Sequence, 10) + "." + letter.Header.Get(damrey.HeaderOriginalID)
	m.Header.Set(damrey.HeaderID, id)
	m.Header.Set(damrey.HeaderLineage, id) // it is another message, and so is what follows from it
	m.Header.Set(damrey.HeaderDeadReplaces, strconv.FormatUint(letter.Sequence, 10))
	m.Header.Set(damrey.HeaderDeadEdited, time.Now().UTC().Format(time.RFC3339))
	return m, nil
}

// replace stores the edited letter and removes the one before it.
func (d *deadLetters) replace(ctx context.Context, stream jetstream.Stream, letter *jetstream.RawStreamMsg, edited *nats.Msg) (uint64, error) {
	storing, cancel := ctx, context.CancelFunc(func() {})
	if end, ok := ctx.Deadline(); ok {
		storing, cancel = context.WithDeadline(ctx, end.Add(-removeTime))
	}
	defer cancel()
	ack, err := d.store.js.PublishMsg(storing, edited)
	if err != nil {
		return 0, d.notEdited(letter.Sequence, err)
	}
	if ack.Duplicate {
		if err := d.sameEdit(ctx, stream, letter.Sequence, ack.Sequence, edited); err != nil {
			return 0, err
		}
	}
	err = remove(ctx, stream, letter.Sequence)
	switch {
	case err == nil, errors.Is(err, jetstream.ErrMsgNotFound) && ack.Duplicate:
		return ack.Sequence, nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, d.undo(ctx, stream, letter.Sequence, ack.Sequence)
	}
	d.unsettled.Store(true)
	return 0, problem(http.StatusServiceUnavailable, "letter %d is stored as it is now, but letter %d, which it replaces, could not be removed: %v; "+
		"the proxy removes it when it can", ack.Sequence, letter.Sequence, err)
}

func (d *deadLetters) notEdited(sequence uint64, err error) error {
	refusal, refused := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return problem(http.StatusRequestEntityTooLarge, "it would be larger than the broker's max_payload of %d bytes; the letter stays as it was",
			d.store.nc.MaxPayload())
	case refused && refusal.Code != http.StatusServiceUnavailable:
		return stays("the broker refuses to store what it would be: %v", refusal)
	case refused:
		return err
	}
	d.unsettled.Store(true) // it may be stored, and then there are two
	return problem(http.StatusServiceUnavailable, "the broker did not say whether it stored the edited letter: %v; letter %d stays until that is known: "+
		"look with `damrey dead ls` before you repeat it", err, sequence)
}

// sameEdit is nil when what was stored first under the same id is this edit: a repetition, not another terminal's.
func (d *deadLetters) sameEdit(ctx context.Context, stream jetstream.Stream, was, now uint64, edited *nats.Msg) error {
	other, err := stream.GetMsg(ctx, now)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return problem(http.StatusConflict, "letter %d was edited from another terminal meanwhile, and what it became is gone already; nothing was changed", was)
	case err != nil:
		return err
	case other.Subject != edited.Subject || string(other.Data) != string(edited.Data):
		return problem(http.StatusConflict, "letter %d was edited from another terminal meanwhile, and is letter %d now; look with `damrey dead show %d` "+
			"and repeat your change on that", was, now, now)
	}
	return nil
}

// undo takes an edit back whose letter somebody else retried or purged before it could be removed.
func (d *deadLetters) undo(ctx context.Context, stream jetstream.Stream, was, now uint64) error {
	if err := remove(ctx, stream, now); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return problem(http.StatusServiceUnavailable, "letter %d was retried or purged from another terminal meanwhile, but its edited copy %d could not be removed: %v; "+
			"remove it with `damrey dead purge %d`", was, now, err, now)
	}
	return problem(http.StatusConflict, "letter %d was retried or purged from another terminal meanwhile; nothing was edited", was)
}

// settle removes the letters that were replaced by an edited one and are still there, because this proxy or the broker
// ended between the two. It is for when that may be.
func (d *deadLetters) settle(ctx context.Context) error {
	if !d.unsettled.Load() {
		return nil
	}
	d.unsettled.Store(false)
	err := d.use(ctx, d.removeReplaced)
	if errors.Is(err, errNoLetters) {
		return nil
	}
	if err != nil {
		d.unsettled.Store(true)
		return fmt.Errorf("looking for dead letters that were replaced: %w", err)
	}
	return nil
}

func (d *deadLetters) removeReplaced(ctx context.Context, stream jetstream.Stream) error {
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true, MemoryStorage: true, Replicas: 1, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	defer func() { _ = stream.DeleteConsumer(ctx, info.Name) }() // else it goes by itself once inactive
	for left := info.NumPending; left > 0; {
		messages, err := fetchNow(ctx, consumer, int(min(left, 10*deadChunk)))
		if err != nil || len(messages) == 0 {
			return err
		}
		for _, m := range messages {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			left = meta.NumPending
			if err := d.removeReplacedBy(ctx, stream, m.Headers(), meta.Sequence.Stream); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeReplacedBy compares the ids, since a stream that was made again counts from 1 again.
func (d *deadLetters) removeReplacedBy(ctx context.Context, stream jetstream.Stream, h nats.Header, sequence uint64) error {
	was, err := strconv.ParseUint(h.Get(damrey.HeaderDeadReplaces), 10, 64)
	if err != nil || was >= sequence {
		return nil
	}
	letter, err := stream.GetMsg(ctx, was)
	if err == nil && letter.Header.Get(damrey.HeaderOriginalID) == h.Get(damrey.HeaderOriginalID) {
		err = remove(ctx, stream, was)
		if err == nil {
			d.store.log.Info().Uint64("sequence", was).Uint64("edited", sequence).Msg("a dead letter that was replaced is removed")
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	return err
}
