package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// silence is how long the server may say nothing. It gives up after 5 s without an answer from us.
	silence = 15 * time.Second
	// chunkSize of a snapshot; a server takes messages of 1 MB unless told otherwise.
	chunkSize = 128 << 10
	api       = jetstream.DefaultAPIPrefix + "STREAM."
)

// ErrIncomplete: the server ended a snapshot before its end.
var ErrIncomplete = errors.New("the server did not give all of it")

// answer is what the server says to a snapshot, a chunk, the end of a restore, or who asks for names.
type answer struct {
	Error   *jetstream.APIError `json:"error"`
	Config  json.RawMessage     `json:"config"`
	State   json.RawMessage     `json:"state"`
	Deliver string              `json:"deliver_subject"`
	Streams []string            `json:"streams"`
	Total   int                 `json:"total"`
}

// take calls each with the chunks of a stream's snapshot. Config and state are as the server wrote them.
func take(ctx context.Context, nc *nats.Conn, name string, each func([]byte) error) (config, state json.RawMessage, err error) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	got, err := ask(ctx, nc, api+"SNAPSHOT."+name, map[string]any{"deliver_subject": inbox, "chunk_size": chunkSize})
	if err != nil {
		return nil, nil, err
	}
	for {
		m, err := next(ctx, sub)
		if err != nil {
			return nil, nil, err
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return nil, nil, fmt.Errorf("%w: %s %s", ErrIncomplete, status, m.Header.Get("Description"))
			}
			return got.Config, got.State, nil
		}
		if err := each(m.Data); err != nil {
			return nil, nil, err
		}
		if m.Reply == "" { // the last chunk
			continue
		}
		if err := m.Respond(nil); err != nil {
			return nil, nil, err
		}
	}
}

func next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	bounded, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	m, err := sub.NextMsgWithContext(bounded)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: nothing came for %v; connect to the broker itself, not to an agent", ErrIncomplete, silence)
	}
	return m, err
}

// put restores a stream that is not there from the chunks that next gives until it is nil, and returns its messages.
func put(ctx context.Context, nc *nats.Conn, s Stream, next func() ([]byte, error)) (messages uint64, err error) {
	got, err := ask(ctx, nc, api+"RESTORE."+s.Name, map[string]any{"config": s.Config, "state": s.State})
	if err != nil {
		return 0, err
	}
	for {
		chunk, err := next()
		if err != nil {
			return 0, err // the server removes what it has got when nothing more comes
		}
		answered, err := request(ctx, nc, got.Deliver, chunk)
		if err != nil {
			return 0, err
		}
		if chunk != nil {
			continue
		}
		var state struct {
			Messages uint64 `json:"messages"`
		}
		if err := json.Unmarshal(answered.State, &state); err != nil {
			return 0, fmt.Errorf("answer to the restore: %w", err)
		}
		return state.Messages, nil
	}
}

func ask(ctx context.Context, nc *nats.Conn, subject string, body any) (answer, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	return request(ctx, nc, subject, data)
}

func request(ctx context.Context, nc *nats.Conn, subject string, data []byte) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return a, err
	}
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &a); err != nil {
			return a, fmt.Errorf("answer to %s: %w", subject, err)
		}
	}
	if a.Error != nil {
		return a, a.Error
	}
	return a, nil
}
