package damrey

import (
	"context"
	"time"
)

// Stored is what a handler of a durable route may know of its message besides
// the message itself.
type Stored struct {
	// ID is [MessageID].
	ID string
	// Sequence is the message's place in the stream of its target: of two with a
	// key the lower one was stored first. A stream that is made anew counts from 1
	// again.
	Sequence uint64
	// At is when it was stored, by the broker's clock.
	At time.Time
	// Received is when it reached this instance, by the clock here.
	Received time.Time
	// Handouts is how often the broker has handed it out, this time among them.
	Handouts uint64
	// Failures is how many attempts have failed before this one.
	Failures int
}

// StoredMessage tells a handler of the stored message that it was called with.
// False on a direct route and outside of a handler.
func StoredMessage(ctx context.Context) (Stored, bool) {
	j, ok := ctx.Value(jobKey{}).(*job)
	if !ok || j == nil {
		return Stored{}, false
	}
	return Stored{
		ID: j.id(), Sequence: j.sequence, At: j.stored, Received: j.received,
		Handouts: j.handouts, Failures: j.tried.Failures,
	}, true
}
