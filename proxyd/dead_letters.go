package proxyd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/wire"
)

// deadLetters is the stream into which instances write what failed too often.
type deadLetters struct {
	store *store
	table *table
	name  string
	hands hands
	// unsettled: a letter may be there beside the one that replaced it.
	unsettled atomic.Bool
}

func newDeadLetters(s *store, t *table) *deadLetters {
	d := &deadLetters{store: s, table: t, name: bucket.DeadStream(s.prefix), hands: newHands()}
	d.unsettled.Store(true) // the proxy before this one may have ended in the middle of an edit
	return d
}

// use calls f with the stream, with fresh information, as store.use does with a bucket. Without a stream it is
// errNoLetters.
func (d *deadLetters) use(ctx context.Context, f func(context.Context, jetstream.Stream) error) error {
	ctx, cancel, err := d.store.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	stream, err := d.store.js.Stream(ctx, d.name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return errNoLetters
	case err == nil:
		err = f(ctx, stream)
	}
	return away(err)
}

// useLetter is use for what is done with one letter.
func (d *deadLetters) useLetter(ctx context.Context, sequence uint64, f func(context.Context, jetstream.Stream) error) error {
	err := d.use(ctx, f)
	if errors.Is(err, errNoLetters) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return problem(http.StatusNotFound, "there is no dead letter %d (any more); `damrey dead ls` shows those that are there", sequence)
	}
	return err
}

func (d *deadLetters) get(ctx context.Context, sequence uint64) (letter *jetstream.RawStreamMsg, err error) {
	err = d.useLetter(ctx, sequence, func(ctx context.Context, stream jetstream.Stream) error {
		letter, err = stream.GetMsg(ctx, sequence)
		return err
	})
	return letter, err
}

func (d *deadLetters) purge(ctx context.Context, sequence uint64) error {
	return d.useLetter(ctx, sequence, func(ctx context.Context, stream jetstream.Stream) error {
		release, err := d.hands.take(ctx, sequence)
		if err != nil {
			return err
		}
		defer release()
		return remove(ctx, stream, sequence)
	})
}

// remove is jetstream.ErrMsgNotFound when the letter is gone already, which the client library says only as text.
func remove(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.DeleteMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		if _, missing := stream.GetMsg(ctx, sequence); errors.Is(missing, jetstream.ErrMsgNotFound) {
			return missing
		}
	}
	return err
}

// letterOf reads a letter as far as it can be read: somebody may have written it by hand.
func letterOf(prefix, subject string, sequence uint64, h nats.Header, payload []byte) api.DeadLetter {
	l := api.DeadLetter{
		Sequence: sequence, Size: len(payload),
		ID: h.Get(damrey.HeaderOriginalID), Error: h.Get(damrey.HeaderDeadError), Instance: h.Get(damrey.HeaderDeadInstance),
		Failures: damrey.HeaderNumber(h, damrey.HeaderDeadFailures), Delivered: damrey.HeaderNumber(h, damrey.HeaderDeadHandouts),
	}
	l.Edited, _ = time.Parse(time.RFC3339, h.Get(damrey.HeaderDeadEdited)) // zero for what is no time
	l.Worker, l.Type, l.From = parseDeadSubject(prefix, subject)
	if msg, err := wire.Decode(payload); err == nil && utf8.ValidString(strings.Join(msg, "")) {
		l.Message = msg
	} else {
		l.Text = textOf(payload)
	}
	return l
}

// pathOf are the routes behind a letter, without what is none.
func pathOf(h nats.Header) (path []string) {
	for _, route := range strings.Fields(h.Get(damrey.HeaderPath)) {
		if names := strings.Split(route, "."); len(names) == 3 && utf8.ValidString(route) {
			path = append(path, strings.Join(names, "→"))
		}
	}
	return path
}

// textLimit is how much of a payload that is no message is shown.
const textLimit = 200

// textOf is the beginning of what people can read, and else empty.
func textOf(payload []byte) string {
	if !utf8.Valid(payload) {
		return ""
	}
	text := []rune(string(payload))
	for _, r := range text {
		if !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return ""
		}
	}
	return string(text[:min(len(text), textLimit)])
}

// detailOf is a letter as it was got, without the headers that the broker adds to tell what it gives.
func detailOf(prefix string, m *jetstream.RawStreamMsg) api.DeadDetail {
	l := api.DeadDetail{DeadLetter: letterOf(prefix, m.Subject, m.Sequence, m.Header, m.Data), Headers: maps.Clone(m.Header)}
	l.Time, l.Path = m.Time.UTC(), pathOf(m.Header)
	if l.Headers == nil {
		l.Headers = map[string][]string{}
	}
	for _, name := range []string{jetstream.StreamHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer, jetstream.SubjectHeader} {
		delete(l.Headers, name)
	}
	if l.Message == nil {
		l.Payload = m.Data
	}
	return l
}

// parseDeadSubject is the opposite of damrey.DeadSubject. What is missing is empty.
func parseDeadSubject(prefix, subject string) (worker, typ, from string) {
	worker, rest, _ := strings.Cut(strings.TrimPrefix(subject, prefix+".dead."), ".")
	typ, from, _ = strings.Cut(rest, ".")
	return worker, typ, from
}

// stays is the problem of a letter that could not be retried.
func stays(format string, args ...any) error {
	return problem(http.StatusConflict, "%s; the letter stays", fmt.Sprintf(format, args...))
}
