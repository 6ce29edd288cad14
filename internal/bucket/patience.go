package bucket

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// howToEnable is what an operator types when JetStream is missing.
const howToEnable = "enable it on the NATS server (`nats-server -js`, or `jetstream {}` in its configuration, for this account too); " +
	"behind a leaf node the server needs a JetStream domain"

// patience is the wait between attempts; it grows. One Ensure alone uses it.
type patience struct{ pause time.Duration }

// wait returns nil when it is time to try again after err, else the error that ends the attempts.
func (p *patience) wait(ctx context.Context, err error) error {
	if refused(err) {
		return fmt.Errorf("%w: %w; %s", ErrNoJetStream, err, howToEnable)
	}
	if !passes(err) && !errors.Is(err, ctx.Err()) {
		return err
	}
	p.pause = min(max(2*p.pause, firstPause), maxPause)
	timer := time.NewTimer(p.pause/2 + rand.N(p.pause/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w (%w); %s", ErrNoJetStream, err, context.Cause(ctx), howToEnable)
	}
}

// refused tells the one answer that waiting does not change.
func refused(err error) bool {
	return errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
}

// passes tells failures of a JetStream that starts, elects a leader, or cannot be reached for a moment.
func passes(err error) bool {
	var api *jetstream.APIError
	if errors.Is(err, ErrReplicas) {
		return false
	}
	if errors.As(err, &api) {
		return api.Code == http.StatusServiceUnavailable
	}
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrDisconnected)
}
