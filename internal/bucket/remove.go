package bucket

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// RemoveJobs removes the stream of jobs of a worker if it is empty, and says whether it has; that there is none is no
// error. A stream that holds anything stays: it is first closed for new messages, so that none can come in between.
func RemoveJobs(ctx context.Context, js jetstream.JetStream, prefix, worker string) (removed bool, err error) {
	s := jobs{prefix: prefix, worker: worker}
	cfg, err := readConfig(ctx, js, s.stream())
	if err != nil || cfg == nil {
		return false, err
	}
	if empty, err := isEmpty(ctx, js, s.stream()); err != nil || !empty {
		return false, err
	}
	open := cfg["subjects"]
	cfg.set("subjects", []string{s.closed()})
	if err := writeConfig(ctx, js, s.stream(), cfg); err != nil {
		return false, fmt.Errorf("stream %s: %w", s.stream(), err)
	}
	empty, err := isEmpty(ctx, js, s.stream())
	if err == nil && empty {
		err = js.DeleteStream(ctx, s.stream())
		if err == nil || errors.Is(err, jetstream.ErrStreamNotFound) {
			return true, nil
		}
	}
	cfg["subjects"] = open
	return false, errors.Join(err, writeConfig(context.WithoutCancel(ctx), js, s.stream(), cfg))
}

func isEmpty(ctx context.Context, js jetstream.JetStream, name string) (bool, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return false, err
	}
	return stream.CachedInfo().State.Msgs == 0, nil
}
