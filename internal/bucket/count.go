package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// IDs counts what the stream of jobs of a worker remembers of ids of applications, and of dead letters being retried. It counts towards the limits.
func IDs(ctx context.Context, js jetstream.JetStream, prefix, worker string) (uint64, error) {
	s := jobs{prefix: prefix, worker: worker}
	return count(ctx, js, s.stream(), s.ids())
}

// HeldCount counts the messages of a worker's stream that wait for their paused routes.
func HeldCount(ctx context.Context, js jetstream.JetStream, prefix, worker string) (uint64, error) {
	s := jobs{prefix: prefix, worker: worker}
	return count(ctx, js, s.stream(), s.held())
}

// count asks for the first message of a pattern as a batch of one: the answer says how many follow, where a stream's
// information would list every subject. A server before 2.11 does not say, nor does a stream whose direct reads somebody
// switched off, and the answer is 0.
func count(ctx context.Context, js jetstream.JetStream, stream, pattern string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	body, err := json.Marshal(map[string]any{"seq": 1, "next_by_subj": pattern, "batch": 1})
	if err != nil {
		return 0, err
	}
	m, err := js.Conn().RequestWithContext(ctx, apiPrefix(js.Options())+"DIRECT.GET."+stream, body)
	if errors.Is(err, nats.ErrNoResponders) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count %s of stream %s: %w", pattern, stream, err)
	}
	following, err := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
	if err != nil {
		return 0, nil // there is none
	}
	return following + 1, nil
}
