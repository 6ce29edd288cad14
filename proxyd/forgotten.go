package proxyd

import (
	"context"
	"time"

	"github.com/damrey/damrey/internal/bucket"
)

// forgottenTime is how long a message must look forgotten. Owners of partitions wait as long for those with a key.
const forgottenTime = 12 * time.Second

// forgotten is the oldest message of a stream of jobs that is stored and that its consumer counts as done.
type forgotten struct {
	sequence uint64
	since    time.Time
}

// handOutForgotten has what is stored handed out again when the broker seems to have lost sight of some of it. Whoever has
// a message with a key in his partition misses it himself; nobody would miss one without.
func (k *keeper) handOutForgotten(ctx context.Context, worker string) error {
	sequence, err := bucket.Forgotten(ctx, k.store.js, k.store.prefix, worker)
	before := k.lost[worker]
	switch {
	case err != nil:
		return err
	case sequence == 0:
		delete(k.lost, worker)
		return nil
	case sequence != before.sequence:
		k.lost[worker] = forgotten{sequence, time.Now()}
		time.AfterFunc(forgottenTime, k.again)
		return nil
	case time.Since(before.since) < forgottenTime:
		return nil
	}
	delete(k.lost, worker)
	k.store.log.Warn().Str("stream", bucket.JobsStream(k.store.prefix, worker)).Uint64("sequence", sequence).
		Msg("a stored message is not handed out by the broker, which counts it as done; all that is stored is handed out again, and what instances have in hand runs once more")
	return bucket.HandOutAgain(ctx, k.store.js, k.store.prefix, worker)
}
