package snapshot

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// electionTime is how long it is tried to get an answer. Most elections of a cluster that has lost one of three are
	// over in 9 s.
	electionTime = 25 * time.Second
	// tryAgain is the pause in between.
	tryAgain = 250 * time.Millisecond
)

// errAgain: what was asked for changed meanwhile.
var errAgain = errors.New("the streams change while they are looked at")

// patiently does something, for so long each time, until it succeeds or fails with what no election mends.
func patiently(ctx context.Context, each time.Duration, do func(context.Context) error) error {
	for end := time.Now().Add(electionTime); ; {
		attempt, cancel := context.WithTimeout(ctx, each)
		err := do(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || !passes(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(tryAgain):
		case <-ctx.Done():
			return err
		}
	}
}

func passes(err error) bool {
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return false
	}
	if refusal, ok := errors.AsType[*jetstream.APIError](err); ok {
		return refusal.Code == http.StatusServiceUnavailable
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, errAgain) ||
		errors.Is(err, ErrIncomplete)
}
