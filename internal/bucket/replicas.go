package bucket

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// JetStream's codes for a number of replicas that it has not enough servers for.
const (
	codeNoPeers      = 10005 // "no suitable peers for placement", with a reason
	codeInsufficient = 10023 // "insufficient resources"
	codeNoCluster    = 10074 // "replicas > 1 not supported in non-clustered mode"
)

// CheckReplicas refuses a number of copies of which no majority can be lost or that JetStream has not.
func CheckReplicas(n int) error {
	switch n {
	case 1, 3, 5:
		return nil
	}
	return fmt.Errorf("%d replicas: use 1, 3 or 5, of which 0, 1 or 2 may be lost", n)
}

// WithReplicas makes every stream and bucket that is set up through js have n copies, each at another server of the
// cluster: new ones from their beginning, existing ones by a change, which told hears of. 0 leaves that to JetStream and
// to whoever has set it.
func WithReplicas(js jetstream.JetStream, n int, told func(stream string, from, to int)) jetstream.JetStream {
	if n == 0 {
		return js
	}
	return replicated{JetStream: js, n: n, told: told}
}

// Copies is how many copies streams that are set up through js have; 1 when that was left to JetStream.
func Copies(js jetstream.JetStream) int {
	if r, ok := js.(replicated); ok {
		return r.n
	}
	return 1
}

// replicated is a JetStream that knows how many copies its streams have. Its embedded one does all the rest.
type replicated struct {
	jetstream.JetStream
	n    int
	told func(stream string, from, to int)
}

func (r replicated) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	cfg.Replicas = r.n
	s, err := r.JetStream.CreateStream(ctx, cfg)
	return s, tooFew(err, r.n)
}

func (r replicated) CreateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	cfg.Replicas = r.n
	kv, err := r.JetStream.CreateKeyValue(ctx, cfg)
	return kv, tooFew(err, r.n)
}

// change is a number of replicas that is to become another.
type change struct{ from, to int }

// mergeReplicas sets the number of copies, when js says how many there shall be and no newer program takes care.
func mergeReplicas(cfg config, s spec, js jetstream.JetStream) (c change, err error) {
	r, ok := js.(replicated)
	if !ok {
		return c, nil
	}
	meta := map[string]string{}
	if err := cfg.get("metadata", &meta); err != nil {
		return c, err
	}
	if stored, err := schemaOf(meta, s); err != nil || stored > Schema {
		return c, err
	}
	c = change{from: 1, to: r.n}
	if err := cfg.get("num_replicas", &c.from); err != nil {
		return c, err
	}
	if c.from != c.to {
		cfg.set("num_replicas", c.to)
	}
	return c, nil
}

// done tells of a change that was written, or explains why it was not.
func (c change) done(js jetstream.JetStream, stream string, err error) error {
	if r, ok := js.(replicated); ok && c.from != c.to {
		if err == nil {
			r.told(stream, c.from, c.to)
		}
		return tooFew(err, c.to)
	}
	return err
}

// tooFew says what to do about a cluster that is too small for n copies.
func tooFew(err error, n int) error {
	refusal, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return err
	}
	switch refusal.ErrorCode {
	case codeNoPeers, codeInsufficient:
		return fmt.Errorf("%w: %d replicas need %d servers with room, and the cluster has fewer now; start the others, or choose another number with --replicas: %w",
			ErrReplicas, n, n, err)
	case codeNoCluster:
		return fmt.Errorf("%w: %d replicas need a cluster of %d servers, and this NATS server is alone; make it one of a cluster, or type --replicas 1: %w",
			ErrReplicas, n, n, err)
	}
	return err
}
