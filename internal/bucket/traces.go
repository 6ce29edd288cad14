package bucket

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// traceBytes and traceAge are how much is kept of traces.
	traceBytes = 64 << 20
	traceAge   = 24 * time.Hour
	// traceSpans is how many spans of one trace are kept.
	traceSpans = 1000
)

// TracesStream holds the spans of the last traces of a fabric.
func TracesStream(prefix string) string { return strings.ToUpper(prefix) + "_TRACES" }

// EnsureTraces makes the stream of traces. How much it keeps is the operator's from then on.
func EnsureTraces(ctx context.Context, js jetstream.JetStream, prefix string) error {
	s := traces{prefix}
	if err := ensure(ctx, js, s); err != nil {
		return fmt.Errorf("stream %s: %w", s.stream(), err)
	}
	return nil
}

// traces is a stream that forgets by size. Nobody waits for an acknowledgement.
type traces struct{ prefix string }

func (s traces) stream() string { return TracesStream(s.prefix) }

func (s traces) create(ctx context.Context, js jetstream.JetStream) error {
	cfg := s.wanted()
	cfg.MaxBytes, cfg.MaxMsgsPerSubject = traceBytes, traceSpans
	return createStream(ctx, js, cfg)
}

// wanted says nothing of how much is kept, but that it ends.
func (s traces) wanted() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.stream(), Subjects: []string{s.prefix + ".trace.*"}, Description: "Damrey: the last traces",
		MaxAge: traceAge, AllowDirect: true, NoAck: true,
	}
}

func (s traces) merge(config) (bool, error) { return false, nil }
