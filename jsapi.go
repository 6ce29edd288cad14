package damrey

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// askJetStream asks JetStream's API, of which api is the rest of the subject. A
// refusal comes as an answer too, and must not be taken for one: read as
// information on a consumer it says that nothing was handed out.
func askJetStream(ctx context.Context, nc *nats.Conn, api string, body []byte, answer any) error {
	m, err := nc.RequestWithContext(ctx, jetstream.DefaultAPIPrefix+api, body)
	if err != nil {
		return err
	}
	var refused struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &refused); err != nil {
		return fmt.Errorf("answer to %s: %w", api, err)
	}
	if refused.Error != nil {
		return refused.Error
	}
	return json.Unmarshal(m.Data, answer)
}
