package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// answerTime bounds one request to JetStream. A healthy server answers in milliseconds, a busy cluster in a second.
const answerTime = 5 * time.Second

// answer is the part of a stream's info and update responses that matters here.
type answer struct {
	Error  *jetstream.APIError `json:"error"`
	Config config              `json:"config"`
}

// readConfig returns the stream's configuration, nil when there is no such stream.
func readConfig(ctx context.Context, js jetstream.JetStream, stream string) (config, error) {
	got, err := ask(ctx, js, "STREAM.INFO."+stream, nil)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read its configuration: %w", err)
	}
	return got.Config, nil
}

func writeConfig(ctx context.Context, js jetstream.JetStream, stream string, cfg config) error {
	body, err := json.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("encode its configuration: %w", err)
	}
	if _, err := ask(ctx, js, "STREAM.UPDATE."+stream, body); err != nil {
		return fmt.Errorf("write its configuration: %w", err)
	}
	return nil
}

// create makes the bucket. That somebody else was faster is no error: the next read sees what they made.
func (s kv) create(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err := creating(ctx, func() error {
		_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:      s.bucket,
			Description: s.description,
			History:     s.history,
			Metadata:    map[string]string{schemaKey: fmt.Sprint(Schema)},
		})
		return err
	})
	if err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
		return fmt.Errorf("create it: %w", err)
	}
	return nil
}

// codeCreate is JetStream's for a stream that could not be created, whatever the reason.
const codeCreate = 10049

// creating tries again for a moment: nats-server removes the files of a deleted stream after it has said that it is
// deleted, and one of the same name cannot be created meanwhile (10049, "error creating store for stream").
func creating(ctx context.Context, create func() error) error {
	for attempt := 1; ; attempt++ {
		err := create()
		refusal, ok := errors.AsType[*jetstream.APIError](err)
		if !ok || refusal.ErrorCode != codeCreate || attempt == 5 {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * firstPause):
		case <-ctx.Done():
			return err
		}
	}
}

// ask sends one JetStream request below the typed client, which would drop fields it does not know.
func ask(ctx context.Context, js jetstream.JetStream, what string, body []byte) (*answer, error) {
	var got answer
	if err := request(ctx, js, what, body, &got); err != nil {
		return nil, err
	}
	if got.Error != nil {
		return nil, got.Error
	}
	return &got, nil
}

func request(ctx context.Context, js jetstream.JetStream, what string, body []byte, got any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	msg, err := js.Conn().RequestWithContext(ctx, apiPrefix(js.Options())+what, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(msg.Data, got); err != nil {
		return fmt.Errorf("answer to %s: %w", what, err)
	}
	return nil
}

// apiPrefix is where js sends its own requests, with the dot at its end.
func apiPrefix(o jetstream.JetStreamOptions) string {
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}
