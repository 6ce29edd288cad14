package proxyd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey/internal/bucket"
)

// patience bounds all that one request may wait for the broker.
const patience = 4500 * time.Millisecond

// store reaches the buckets of a fabric. A bucket that has vanished is made again, once per request.
type store struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	prefix  string
	log     zerolog.Logger
	cluster bool // the broker is one of several
	// trouble says why the broker cannot store anything.
	trouble func() error
	// majority says why the broker's cluster cannot.
	majority func() error

	mu      sync.Mutex // guards handles
	handles map[string]jetstream.KeyValue
}

func newStore(nc *nats.Conn, cfg Config) (*store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("cannot use JetStream on this connection: %w", err)
	}
	js = bucket.WithReplicas(js, cfg.Replicas, func(stream string, from, to int) {
		cfg.Log.Info().Str("stream", stream).Int("from", from).Int("to", to).Msg("the number of replicas is changed")
	})
	return &store{nc: nc, js: js, prefix: cfg.Prefix, log: cfg.Log, cluster: cfg.Node != "", trouble: cfg.Trouble, majority: cfg.Majority, handles: make(map[string]jetstream.KeyValue, 2)}, nil
}

// use calls f with the bucket. f may run twice, the second time after the buckets were made again. Its context does not
// end when the one who asked hangs up, because a change that was begun is also to be logged and told; it ends when the
// time for the broker is used up, or at ctx's own deadline when that is earlier.
func (s *store) use(ctx context.Context, name string, f func(context.Context, jetstream.KeyValue) error) error {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	err = s.try(ctx, name, f)
	if !gone(err) || s.cluster && !missing(err) {
		return s.explainAway(away(err))
	}
	if why := s.refuse(); why != nil {
		return why
	}
	s.log.Warn().Err(err).Str("bucket", name).Msg("the bucket is missing and is made again")
	if err := bucket.Ensure(ctx, s.js, s.prefix); err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return away(s.try(ctx, name, f))
}

// bound is the context of use, or an error while the broker is away.
func (s *store) bound(ctx context.Context) (context.Context, context.CancelFunc, error) {
	// A write on a connection that is away would wait in its buffer and be stored long after it was refused.
	if !s.nc.IsConnected() {
		return nil, nil, fmt.Errorf("%w: no connection to NATS", errAway)
	}
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	return ctx, cancel, nil
}

// refuse is not nil when it is known that nothing can be stored. In a cluster the others do when the broker here cannot.
func (s *store) refuse() error {
	if why := s.trouble(); why != nil && !s.cluster {
		return fmt.Errorf("%w: %w", errTrouble, why)
	}
	if why := s.majority(); why != nil {
		return fmt.Errorf("%w: %w", errMajority, why)
	}
	return nil
}

// explain adds to a failure why the broker could not store.
func (s *store) explain(err error) error {
	if _, isProblem := errors.AsType[huma.StatusError](err); err == nil || isProblem || errors.Is(err, errTrouble) || errors.Is(err, errMajority) {
		return err
	}
	if why := s.refuse(); why != nil {
		return fmt.Errorf("%w: %w", err, why)
	}
	return err
}

// explainAway is explain for a broker that did not answer; other refusals of it have their own reason.
func (s *store) explainAway(err error) error {
	if errors.Is(err, errAway) {
		return s.explain(err)
	}
	return err
}

func (s *store) try(ctx context.Context, name string, f func(context.Context, jetstream.KeyValue) error) error {
	kv, err := s.handle(ctx, name)
	if err != nil {
		return err
	}
	err = f(ctx, kv)
	if gone(err) {
		s.forget(name)
	}
	return err
}

func (s *store) handle(ctx context.Context, name string) (jetstream.KeyValue, error) {
	s.mu.Lock()
	kv := s.handles[name]
	s.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	kv, err := s.js.KeyValue(ctx, name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handles[name] = kv
	return kv, nil
}

func (s *store) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handles, name)
}

// stream behind a bucket, with fresh information.
func (s *store) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	return s.js.Stream(ctx, "KV_"+name)
}

// gone says that there was no bucket, so that surely nothing was done.
func gone(err error) bool {
	return missing(err) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders)
}

// missing says that there is no bucket. In a cluster nobody answers for one, either, while its leader is elected.
func missing(err error) bool {
	return errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// away marks the errors of a broker that does not answer.
func away(err error) error {
	if err == nil || errors.Is(err, errUnsure) {
		return err
	}
	if refusal, ok := errors.AsType[*jetstream.APIError](err); ok && refusal.Code == http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %w", errAway, plainly{refusal})
	}
	for _, is := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrNoResponders,
		jetstream.ErrNoStreamResponse, jetstream.ErrStreamNotFound, jetstream.ErrBucketNotFound, jetstream.ErrJetStreamNotEnabled,
	} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w: %w", errAway, err)
		}
	}
	return err
}

// plainly is a refusal of the broker in words, without its numbers.
type plainly struct{ *jetstream.APIError }

func (r plainly) Error() string {
	if r.ErrorCode == bucket.CodeNoLeader {
		return "its cluster elects a leader, or has no majority"
	}
	return r.Description
}

func (r plainly) Unwrap() error { return r.APIError }

// written sorts what a write returned: a lost race, surely not stored, or not known.
func written(err error) error {
	if err == nil || gone(err) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", errPayload, err)
	}
	refusal, ok := errors.AsType[*jetstream.APIError](err)
	switch {
	case !ok:
		return fmt.Errorf("%w: %w", errUnsure, err)
	case refusal.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence,
		refusal.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", errConflict, err)
	}
	return fmt.Errorf("the broker refused to store it, nothing was changed: %w", err)
}
