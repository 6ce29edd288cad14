package proxyd

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

// batchPause is between attempts to store what the broker refuses for a moment.
const batchPause = 50 * time.Millisecond

// resent is a letter whose message was sent again.
type resent struct {
	already bool             // it had been stored before
	jobs    jetstream.Stream // that keeps a marker of it; nil: none does
	marker  string           // the subject of that
}

// storeAgain stores a letter as the library stores a message, together with a marker: should this proxy end before the letter
// is removed, the next retry finds the marker and only removes the letter. Nobody waits for an answer any more.
func (d *deadLetters) storeAgain(ctx context.Context, route *damrey.Route, letter *jetstream.RawStreamMsg) (again resent, err error) {
	job, err := jobOf(route, letter)
	if err != nil {
		return again, err
	}
	jobs, err := d.store.js.Stream(ctx, bucket.JobsStream(d.store.prefix, route.To))
	if err != nil {
		return again, d.notStored(route, nil, err)
	}
	if cfg := jobs.CachedInfo().Config; cfg.AllowAtomicPublish && cfg.AllowMsgTTL {
		marker := bucket.RetryMarker(d.store.prefix, route.To, letter)
		again = resent{jobs: jobs, marker: marker.Subject}
		again.already, err = d.storeBoth(ctx, jobs, marker, job)
		if refusal, refused := errors.AsType[*jetstream.APIError](err); !refused || refusal.ErrorCode != bucket.CodeBatchHeader {
			return again, d.notStored(route, jobs, err)
		}
	}
	// Somebody else made the stream, or the server is too old. What the client library can ask the broker to check would be
	// stored as a header, and be copied into the next letter.
	ack, err := d.store.js.PublishMsg(ctx, job)
	return resent{already: err == nil && ack.Duplicate}, d.notStored(route, nil, err)
}

// storeBoth stores the marker and the message, unless a retry before has.
func (d *deadLetters) storeBoth(ctx context.Context, jobs jetstream.Stream, marker, job *nats.Msg) (already bool, err error) {
	for {
		first, last := bucket.Both(nuid.Next(), marker, job)
		if err := d.store.nc.PublishMsg(first); err != nil {
			return false, err
		}
		_, err := d.store.js.PublishMsg(ctx, last)
		refusal, refused := errors.AsType[*jetstream.APIError](err)
		if !refused {
			return false, err
		}
		switch refusal.ErrorCode {
		case bucket.CodeBatchDuplicate:
			return true, nil
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			_, looked := jobs.GetLastMsgForSubject(ctx, marker.Subject)
			if !errors.Is(looked, jetstream.ErrMsgNotFound) {
				return looked == nil, looked
			}
			// Another proxy has just done with the letter, or the copy that was asked does not know of the marker yet.
		case bucket.CodeBatchIncomplete, bucket.CodeBatchesTooMany, bucket.CodeInProcess:
		default:
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(batchPause):
		}
	}
}

// notStored puts the broker's refusals into words. jobs is not nil when there is a marker.
func (d *deadLetters) notStored(route *damrey.Route, jobs jetstream.Stream, err error) error {
	stream := bucket.JobsStream(d.store.prefix, route.To)
	refusal, refused := errors.AsType[*jetstream.APIError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return stays("it is larger than the broker's max_payload of %d bytes", d.store.nc.MaxPayload())
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return stays("stream %s is missing, which holds the messages for worker %q (%s); the proxy makes it soon: try again",
			stream, route.To, route)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return err
	case refused && refusal.ErrorCode == bucket.CodeStoreFailed:
		return stays("stream %s takes no more (%s): %s; let instances of %q work it off, or raise max_messages and max_bytes there",
			stream, route, refusal.Description, route.To)
	case refused && refusal.Code == http.StatusServiceUnavailable:
		return err
	case refused:
		return stays("the broker refuses to store it (%s): %v", route, refusal)
	}
	return problem(http.StatusServiceUnavailable,
		"the broker did not say whether it stored the message (%s): %v; the letter stays, and is stored once for %q if you try again%s",
		route, err, route.To, within(jobs))
}

// within says how long a retry is known where no marker is stored.
func within(jobs jetstream.Stream) string {
	if jobs == nil {
		return " within 2 minutes"
	}
	return ""
}

// forget removes the marker of a letter that is gone, since it counts towards the limits of the stream. A proxy that has read
// the letter before is told by the id for long enough.
func (d *deadLetters) forget(ctx context.Context, again resent) {
	if again.jobs == nil {
		return
	}
	// Another copy than the leader's may not have it yet, and would say that there is none.
	if err := again.jobs.Purge(ctx, jetstream.WithPurgeSubject(again.marker)); err != nil {
		d.store.log.Debug().Err(err).Str("marker", again.marker).Msg("what says that a dead letter was retried could not be removed; it goes by itself")
	}
}

// jobOf is a letter as the library would store it on a route. Handlers know it by the id that it had, and what follows from it
// has the ids that it would have had. Its hops are counted anew: one that died in a loop is retried when the loop has been
// taken out of the table.
func jobOf(route *damrey.Route, letter *jetstream.RawStreamMsg) (*nats.Msg, error) {
	m, err := route.Job(letter.Data)
	if err != nil {
		return nil, stays("%v", err)
	}
	m.Header.Set(damrey.HeaderID, bucket.RetryID(letter)+"."+letter.Header.Get(damrey.HeaderOriginalID))
	for _, name := range []string{damrey.HeaderOriginalID, damrey.HeaderLineage} {
		if value := letter.Header.Get(name); value != "" {
			m.Header.Set(name, value)
		}
	}
	return m, nil
}
