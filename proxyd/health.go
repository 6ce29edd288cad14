package proxyd

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

// readyTime bounds how long /readyz waits for the bucket.
const readyTime = 2 * time.Second

type statusAnswer struct {
	Body struct {
		Status string `json:"status" doc:"ok or ready" example:"ready"`
	}
}

func newStatus(s string) *statusAnswer {
	a := &statusAnswer{}
	a.Body.Status = s
	return a
}

func (p *Proxy) healthy(context.Context, *struct{}) (*statusAnswer, error) {
	return newStatus("ok"), nil
}

// readiness is 503 with the reason while the table cannot be read.
func (p *Proxy) readiness(ctx context.Context, _ *struct{}) (*statusAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	name := bucket.Name(p.cfg.Prefix)
	err := p.store.refuse()
	if err == nil {
		err = p.store.use(ctx, name, func(ctx context.Context, kv jetstream.KeyValue) error {
			_, err := kv.Status(ctx)
			return err
		})
	}
	if err != nil {
		return nil, problem(http.StatusServiceUnavailable, "not ready: bucket %s: %v", name, err)
	}
	return newStatus("ready"), nil
}

func (p *Proxy) routeHealth(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: []string{"health"},
		Summary: "Whether the process lives",
	}, look(p.healthy))
	huma.Register(a, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"health"},
		Summary: "Whether the table can be read; 503 says why not",
	}, look(p.readiness))
}
