package bucket

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// RemoveDone removes from the stream of jobs of a worker what was acknowledged and is stored nevertheless, and says how
// much that was; that there is no such stream is no error. nats-server (2.15.2) writes an acknowledgement down before it
// removes the message. One that is alone and ends in between keeps the message for ever and never hands it out again; a
// cluster looks for such by itself.
//
// Only what lies below the floor of its consumer is removed, since above it others may still be in somebody's hand.
func RemoveDone(ctx context.Context, js jetstream.JetStream, prefix, worker string) (removed int, err error) {
	stream, err := js.Stream(ctx, JobsStream(prefix, worker))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil || stream.CachedInfo().Config.Replicas > 1 {
		return 0, err
	}
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		n, err := removeBelow(ctx, stream, info.Config.FilterSubject, info.AckFloor.Stream)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("stream %s: %w", stream.CachedInfo().Config.Name, err)
		}
	}
	return removed, consumers.Err()
}

func removeBelow(ctx context.Context, stream jetstream.Stream, filter string, floor uint64) (removed int, err error) {
	if filter == "" {
		return 0, nil // somebody else's consumer
	}
	for next := uint64(1); next <= floor; next++ {
		m, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > floor {
			return removed, nil
		}
		if err != nil {
			return removed, err
		}
		next = m.Sequence
		err = stream.DeleteMsg(ctx, next)
		if err == nil {
			removed++
		} else if !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) { // the broker has removed it just now
			return removed, err
		}
	}
	return removed, nil
}
