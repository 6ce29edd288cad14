package proxyd

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

type listDead struct {
	Worker string    `query:"worker" doc:"Only letters for this worker"`
	Type   string    `query:"type" doc:"Only letters of this type"`
	From   string    `query:"from" doc:"Only letters that this worker sent"`
	Error  string    `query:"error" doc:"Only letters whose error holds this text"`
	Since  time.Time `query:"since" doc:"Only letters from this moment on, in RFC 3339" example:"2026-01-02T03:04:05Z"`
	Until  time.Time `query:"until" doc:"Only letters up to this moment, in RFC 3339" example:"2026-01-02T03:04:05Z"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many letters are listed at most"`
	After  uint64    `query:"after" doc:"Only letters with a higher sequence; the next of the answer before"`
}

type oneDead struct {
	Sequence uint64 `path:"sequence" minimum:"1" doc:"Number of the letter" example:"7"`
}

type editDead struct {
	Sequence uint64 `path:"sequence" minimum:"1" doc:"Number of the letter" example:"7"`
	Body     api.DeadEdit
}

type deadListAnswer struct{ Body api.DeadList }

type deadAnswer struct{ Body api.DeadDetail }

type retriedAnswer struct{ Body api.Retried }

type editedAnswer struct{ Body api.DeadEdited }

// listDead is GET /v1/dead.
func (p *Proxy) listDead(ctx context.Context, in *listDead) (*deadListAnswer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	list, err := p.dead.list(ctx, api.DeadFilter{
		Worker: in.Worker, Type: in.Type, From: in.From, Error: in.Error,
		Since: in.Since, Until: in.Until, Limit: in.Limit, After: in.After,
	})
	if err != nil {
		return nil, err
	}
	return &deadListAnswer{Body: list}, nil
}

// check refuses what would not be a token of a subject.
func (in *listDead) check() error {
	for _, q := range []struct {
		name, value string
		check       func(string) error
	}{{"worker", in.Worker, damrey.CheckWorkerName}, {"type", in.Type, damrey.CheckName}, {"from", in.From, damrey.CheckName}} {
		if q.value == "" {
			continue
		}
		if err := q.check(q.value); err != nil {
			return at(problem(http.StatusUnprocessableEntity, "%s %v", q.name, err), "query."+q.name, err.Error(), shorten(q.value))
		}
	}
	return nil
}

// getDead is GET /v1/dead/{sequence}.
func (p *Proxy) getDead(ctx context.Context, in *oneDead) (*deadAnswer, error) {
	letter, err := p.dead.get(ctx, in.Sequence)
	if err != nil {
		return nil, err
	}
	return &deadAnswer{Body: detailOf(p.cfg.Prefix, letter)}, nil
}

// retryDead is POST /v1/dead/{sequence}/retry.
func (p *Proxy) retryDead(ctx context.Context, in *oneDead) (*retriedAnswer, error) {
	done, err := p.dead.retry(ctx, in.Sequence)
	if err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Uint64("sequence", in.Sequence).Str("route", done.Route).Str("delivery", done.Delivery).
		Str("by", callerOf(ctx).addr).Msg("dead letter retried")
	return &retriedAnswer{Body: done}, nil
}

// editDead is PATCH /v1/dead/{sequence}.
func (p *Proxy) editDead(ctx context.Context, in *editDead) (*editedAnswer, error) {
	done, err := p.dead.edit(ctx, in.Sequence, in.Body)
	if err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Uint64("sequence", done.Was).Uint64("now", done.Sequence).Str("by", callerOf(ctx).addr).Msg("dead letter edited")
	return &editedAnswer{Body: done}, nil
}

// purgeDead is DELETE /v1/dead/{sequence}.
func (p *Proxy) purgeDead(ctx context.Context, in *oneDead) (*struct{}, error) {
	if err := p.dead.purge(ctx, in.Sequence); err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Uint64("sequence", in.Sequence).Str("by", callerOf(ctx).addr).Msg("dead letter purged")
	return nil, nil
}

func (p *Proxy) routeDead(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-dead", Method: http.MethodGet, Path: "/v1/dead", Tags: []string{"dead letters"},
		Summary: "List the messages of durable routes that failed too often",
		Description: "Oldest first. An answer ends at the limit, but also when it becomes large or took long; next then says " +
			"where to go on.",
	}, look(p.listDead))
	huma.Register(a, huma.Operation{
		OperationID: "get-dead", Method: http.MethodGet, Path: "/v1/dead/{sequence}", Tags: []string{"dead letters"},
		Summary: "Get a dead letter with its headers",
	}, look(p.getDead))
	huma.Register(a, huma.Operation{
		OperationID: "retry-dead", Method: http.MethodPost, Path: "/v1/dead/{sequence}/retry", Tags: []string{"dead letters"},
		Summary: "Send a dead letter along today's route, and remove it",
		Description: "The route is the one that its sender has for its type now. It is removed only when the message is stored, " +
			"or on a direct route was taken by an instance. What is stored is known as long as the letter is there, so that another " +
			"try after an interruption only removes it. 409 says why it stays; 404 and 410 that it is gone.",
	}, answer(p.retryDead))
	huma.Register(a, huma.Operation{
		OperationID: "edit-dead", Method: http.MethodPatch, Path: "/v1/dead/{sequence}", Tags: []string{"dead letters"},
		MaxBodyBytes: maxBody + 1, BodyReadTimeout: 10 * time.Second,
		Summary: "Change the message of a dead letter",
		Description: "It keeps its headers and gets another sequence: it is stored anew, then removed under the old one. So nobody " +
			"changes what somebody else has changed meanwhile: 404 or 409 then.",
	}, answer(p.editDead))
	huma.Register(a, huma.Operation{
		OperationID: "purge-dead", Method: http.MethodDelete, Path: "/v1/dead/{sequence}", Tags: []string{"dead letters"},
		Summary: "Remove a dead letter for good", DefaultStatus: http.StatusNoContent,
	}, answer(p.purgeDead))
}
