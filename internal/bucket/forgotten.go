package bucket

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Forgotten gives the sequence of the oldest message without a key that is stored for a worker in several copies though its
// consumer counts it as done; 0 when there is none, and where there is one copy, see [RemoveDone]. Either it was done, and
// the stream's leader has not noticed, which looks for such every two minutes (nats-server 2.15.2) and removes them; or the
// consumer's leader has lost sight of it, and then it is removed likewise. That cannot be told.
func Forgotten(ctx context.Context, js jetstream.JetStream, prefix, worker string) (sequence uint64, err error) {
	s := jobs{prefix: prefix, worker: worker}
	stream, err := js.Stream(ctx, s.stream())
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", s.stream(), err)
	}
	if stream.CachedInfo().Config.Replicas < 2 || stream.CachedInfo().State.Msgs == 0 {
		return 0, nil
	}
	// The floor is asked for first: what is done in between is above it.
	consumer, err := stream.Consumer(ctx, JobsConsumer)
	if err != nil {
		return 0, fmt.Errorf("consumer %s of stream %s: %w", JobsConsumer, s.stream(), err)
	}
	m, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(s.unkeyed()))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("stream %s: %w", s.stream(), err)
	case m.Sequence > consumer.CachedInfo().AckFloor.Stream:
		return 0, nil
	}
	return m.Sequence, nil
}

// HandOutAgain makes the consumer of the messages without a key anew: all that is stored is handed out, also what was and
// is not acknowledged.
func HandOutAgain(ctx context.Context, js jetstream.JetStream, prefix, worker string) error {
	s := jobs{prefix: prefix, worker: worker}
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	if err := js.DeleteConsumer(ctx, s.stream(), JobsConsumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("consumer %s of stream %s: %w", JobsConsumer, s.stream(), err)
	}
	return s.ensureUnkeyed(ctx, js)
}
