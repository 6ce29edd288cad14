package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

// watchDeletions makes the keeper look at once when somebody deletes what it made: senders give up before it would look by
// itself. It returns how to end that. Where the broker's advisories cannot be heard it still looks every now and then.
func (k *keeper) watchDeletions() (end func()) {
	var subs []*nats.Subscription
	for subject, take := range map[string]nats.MsgHandler{
		"$JS.EVENT.ADVISORY.STREAM.DELETED.*":     k.deleted,
		"$JS.EVENT.ADVISORY.CONSUMER.DELETED.*.*": k.deleted,
		bucket.RestoringSubject(k.store.prefix):   k.restoring,
	} {
		sub, err := k.store.nc.Subscribe(subject, take)
		if err != nil {
			k.store.log.Warn().Err(err).Str("subject", subject).Stringer("at_most", keepEvery*3/2).
				Msg("it is not heard when somebody deletes a stream of jobs; it takes a while to come back then")
			continue
		}
		subs = append(subs, sub)
	}
	return func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // fails only on a closed connection
		}
	}
}

// deleted takes an advisory, whose subject ends with the stream, or with the stream and the consumer.
func (k *keeper) deleted(m *nats.Msg) {
	names := strings.Split(m.Subject, ".")[5:]
	if k.isOwn(names[0]) && (len(names) == 1 || bucket.IsJobsConsumer(names[1])) {
		k.again()
		// nats-server 2.15.2 tells it while it counts a consumer still: a look that is too early finds all of them.
		k.againAfter(300*time.Millisecond, time.Second)
	}
}

// restoreQuiet is how long after the last word of who restores the streams it is over.
const restoreQuiet = 2 * time.Second

func (k *keeper) restoring(*nats.Msg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calm = time.Now().Add(restoreQuiet)
}

// isRestored says that somebody restores the streams; what they were is forgotten, and they are looked at afterwards.
func (k *keeper) isRestored() bool {
	k.mu.Lock()
	left := time.Until(k.calm)
	k.mu.Unlock()
	if left <= 0 {
		return false
	}
	clear(k.made)
	clear(k.logs)
	time.AfterFunc(left, k.again)
	return true
}

func (k *keeper) isOwn(stream string) bool {
	return stream == bucket.DeadStream(k.store.prefix) || stream == bucket.TriedStream(k.store.prefix) ||
		stream == bucket.LaterStream(k.store.prefix) ||
		strings.HasPrefix(stream, bucket.JobsStream(k.store.prefix, ""))
}

// isMissing says, and logs, that somebody deleted a stream of jobs or consumers of it.
func (k *keeper) isMissing(ctx context.Context, name string, before kept) bool {
	stream, err := k.store.js.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		k.tellLost(name, "messages", "the stream of jobs was deleted by somebody; it is made again, and what it held, about so many messages when last looked at, is lost")
		return true
	case err != nil:
		return false // making it fails too, and says why
	}
	want := 1
	if before.keyed {
		want += bucket.Partitions
	}
	if n := stream.CachedInfo().State.Consumers; n < want {
		k.store.log.Error().Str("stream", name).Int("consumers", n).Int("of", want).
			Msg("a consumer of the stream of jobs was deleted by somebody; it is made again, and what instances have in hand runs once more")
		return true
	}
	return false
}

// lookAtLogs looks at the streams of dead letters, of failures and of what is sent later, and logs what was lost with one that
// somebody deleted, also when somebody else has made it again.
func (k *keeper) lookAtLogs(ctx context.Context) error {
	var failed []error
	for name, said := range map[string]struct{ what, text string }{
		bucket.DeadStream(k.store.prefix): {"dead letters", "the stream of dead letters was deleted by somebody; " +
			"the letters it held, about so many when last looked at, are lost"},
		bucket.TriedStream(k.store.prefix): {"notes of failures", "the stream of failures was deleted by somebody; " +
			"that about so many messages, when last looked at, had failed is forgotten, and their attempts are counted anew"},
		bucket.LaterStream(k.store.prefix): {"delayed messages and schedules", "the stream of delayed messages and schedules was deleted by somebody; " +
			"those that it held, about so many when last looked at, are lost"},
	} {
		stream, err := k.store.js.Stream(ctx, name)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			failed = append(failed, err)
			continue
		}
		before, known := k.logs[name]
		if known && (err != nil || !stream.CachedInfo().Created.Equal(before)) {
			k.tellLost(name, said.what, said.text)
			delete(k.logs, name)
			k.saw(name, 0)
		}
		if err == nil {
			k.logs[name] = stream.CachedInfo().Created
			k.saw(name, stream.CachedInfo().State.Msgs)
		}
	}
	return errors.Join(failed...)
}

// tellLost logs what went with a stream, and publishes it at best effort for those who follow the events. What somebody
// removed to restore it is not lost.
func (k *keeper) tellLost(stream, what, text string) {
	if k.isRestored() { // since this look began
		return
	}
	n := k.lastSeen(stream)
	k.store.log.Error().Str("stream", stream).Uint64("messages", n).Msg(text)
	event, err := json.Marshal(streamDeleted{Stream: stream, Messages: n, What: what, At: time.Now().UTC()})
	if err == nil {
		err = k.store.nc.Publish(k.store.prefix+".event.stream.deleted."+stream, event)
	}
	if err != nil {
		k.store.log.Warn().Err(err).Str("stream", stream).Msg("that a stream was deleted was not published as an event")
	}
}

// saw notes how many messages a stream holds, for when somebody deletes it.
func (k *keeper) saw(stream string, messages uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[stream] = messages
}

func (k *keeper) lastSeen(stream string) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[stream]
}
