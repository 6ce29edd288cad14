package proxyd

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/api"
)

type listTraces struct {
	Route   string    `query:"route" doc:"Only traces that went along this route, from→type→to or from.type.to where * is any, or over this worker" example:"entry→add→add"`
	Outcome string    `query:"outcome" enum:"ok,error,timeout,stop" doc:"Only traces that ended so"`
	Since   time.Time `query:"since" doc:"Only traces from this moment on, in RFC 3339" example:"2026-01-02T03:04:05Z"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"How many traces are listed at most"`
}

type oneTrace struct {
	ID string `path:"id" doc:"Trace id, 32 hexadecimal digits" example:"0af7651916cd43dd8448eb211c80319c"`
}

type traceListAnswer struct{ Body api.TraceList }

type traceAnswer struct{ Body api.Trace }

// listTraces is GET /v1/traces.
func (p *Proxy) listTraces(ctx context.Context, in *listTraces) (*traceListAnswer, error) {
	match, err := routeFilter(in.Route)
	if err != nil {
		return nil, at(problem(http.StatusUnprocessableEntity, "route %v", err), "query.route", err.Error(), shorten(in.Route))
	}
	list, err := p.traces.list(ctx, traceFilter{match, in.Outcome, in.Since, in.Limit})
	if err != nil {
		return nil, err
	}
	return &traceListAnswer{Body: list}, nil
}

var traceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// getTrace is GET /v1/traces/{id}.
func (p *Proxy) getTrace(ctx context.Context, in *oneTrace) (*traceAnswer, error) {
	if !traceID.MatchString(in.ID) {
		text := "a trace's id has 32 digits of 0-9 and a-f"
		return nil, at(problem(http.StatusUnprocessableEntity, "%s", text), "path.id", text, shorten(in.ID))
	}
	trace, err := p.traces.get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &traceAnswer{Body: trace}, nil
}

func (p *Proxy) routeTraces(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-traces", Method: http.MethodGet, Path: "/v1/traces", Tags: []string{"traces"},
		Summary: "List the last traces: those asked for, sampled, failed or slow",
		Description: "The newest first. Only the last 20,000 spans are looked through; looked_since says how far that goes back, " +
			"and is left out when that is all there is.",
	}, look(p.listTraces))
	huma.Register(a, huma.Operation{
		OperationID: "get-trace", Method: http.MethodGet, Path: "/v1/traces/{id}", Tags: []string{"traces"},
		Summary: "Get a trace with its spans",
	}, look(p.getTrace))
}
