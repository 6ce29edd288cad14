package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// silence is how long the server may say nothing. It gives up after 5 s without an answer from us.
	silence = 15 * time.Second
	// beginTime is how long the beginning of a snapshot is awaited before it is asked for anew.
	beginTime = 5 * time.Second
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
	Time    time.Time           `json:"ts"`
	Streams []string            `json:"streams"`
	Total   int                 `json:"total"`
}

// taken is a stream's snapshot while it comes. Config and state are as the server wrote them.
type taken struct {
	sub           *nats.Subscription
	config, state json.RawMessage
	first         *nats.Msg // came with the beginning; nil once it was given
}

// begin asks for a stream's snapshot until one begins: who leads it may be dead, and another not elected yet. It is
// without consumers, since one copy that does not answer for one of them would end all of it; and those that read along,
// of whom every watcher of the table is one, are worth nothing elsewhere.
func begin(ctx context.Context, nc *nats.Conn, name string) (t *taken, err error) {
	err = patiently(ctx, beginTime, func(ctx context.Context) (err error) {
		t, err = beginOnce(ctx, nc, name)
		return err
	})
	return t, err
}

func beginOnce(ctx context.Context, nc *nats.Conn, name string) (*taken, error) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	t := &taken{sub: sub}
	got, err := ask(ctx, nc, api+"SNAPSHOT."+name, map[string]any{"deliver_subject": inbox, "chunk_size": chunkSize, "no_consumers": true})
	if err == nil {
		t.config, t.state = got.Config, got.State
		t.first, err = t.receive(ctx)
	}
	if err == nil {
		err = failure(t.first)
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

func (t *taken) end() { _ = t.sub.Unsubscribe() } // fails only on a closed connection

// next is one chunk, io.EOF behind the last one.
func (t *taken) next(ctx context.Context) ([]byte, error) {
	m := t.first
	if t.first = nil; m == nil {
		var err error
		if m, err = t.receive(ctx); err != nil {
			return nil, err
		}
	}
	if len(m.Data) == 0 {
		if err := failure(m); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	if m.Reply == "" { // the last chunk
		return m.Data, nil
	}
	return m.Data, m.Respond(nil)
}

// failure is what the server's last word on a snapshot says.
func failure(m *nats.Msg) error {
	if status := m.Header.Get("Status"); len(m.Data) == 0 && status != "" && status != "204" {
		return fmt.Errorf("%w: %s %s", ErrIncomplete, status, m.Header.Get("Description"))
	}
	return nil
}

func (t *taken) receive(ctx context.Context) (*nats.Msg, error) {
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	m, err := t.sub.NextMsgWithContext(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: nothing came for %v; connect to the broker itself, not to an agent", ErrIncomplete, time.Since(began).Round(time.Second))
	}
	return m, err
}

// put restores a stream that is not there, if that begins within a time, from the chunks that next gives until it is nil.
// It returns its messages, and when it had them by the server's clock.
func put(ctx context.Context, nc *nats.Conn, name string, config, state json.RawMessage, within time.Duration, next func() ([]byte, error)) (messages uint64, at time.Time, err error) {
	beginning, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	got, err := ask(beginning, nc, api+"RESTORE."+name, map[string]any{"config": config, "state": state})
	if err != nil {
		return 0, at, err
	}
	for {
		chunk, err := next()
		if err != nil {
			return 0, at, err // the server removes what it has got when nothing more comes
		}
		answered, err := give(ctx, nc, got.Deliver, chunk)
		if err != nil {
			return 0, at, err
		}
		if chunk != nil {
			continue
		}
		if messages, err = countOf(answered.State); err != nil {
			return 0, at, fmt.Errorf("answer to the restore: %w", err)
		}
		if answered.Time.IsZero() { // a server that does not say
			answered.Time = time.Now()
		}
		return messages, answered.Time, nil
	}
}

// heardWithin is how long after its answer a server of a cluster may not be heard to listen for the chunks: what it listens
// to comes to the server asked by another way than its answer.
const heardWithin = 2 * time.Second

// give gives a server one chunk of what it restores.
func give(ctx context.Context, nc *nats.Conn, deliver string, chunk []byte) (a answer, err error) {
	for end := time.Now().Add(heardWithin); ; {
		a, err = request(ctx, nc, deliver, chunk)
		if !errors.Is(err, nats.ErrNoResponders) || time.Now().After(end) {
			return a, err
		}
		select {
		case <-time.After(tryAgain):
		case <-ctx.Done():
			return a, ctx.Err()
		}
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
