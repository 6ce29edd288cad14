package proxyd

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/view"
)

type instancesAnswer struct{ Body api.InstanceList }

type statsAnswer struct{ Body api.StatsAnswer }

type askStats struct {
	From  string `query:"from" doc:"Begin, RFC 3339 or as long ago as -15m; default -15m" example:"-1h"`
	To    string `query:"to" doc:"End, likewise; default now" example:"-5m"`
	Route string `query:"route" doc:"from→type→to or from.type.to, where * stands for any; default everything together" example:"entry.add.add"`

	Worker   string `query:"worker" doc:"Its instances instead of routes, each by itself" example:"add"`
	Instance string `query:"instance" doc:"Id of the only instance of the worker that is asked for" example:"Qm35xKp75Rv2"`
}

// network is GET /v1/network: one document for all who ask, written as it is.
func (p *Proxy) network(context.Context, *struct{}) (*huma.StreamResponse, error) {
	data, err := p.streams.networkJSON()
	if err != nil {
		return nil, problemOf(err, untold)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/json")
		_, _ = hc.BodyWriter().Write(data) // the caller has gone; there is nobody to tell
	}}, nil
}

// instances is GET /v1/instances.
func (p *Proxy) instances(context.Context, *struct{}) (*instancesAnswer, error) {
	return &instancesAnswer{Body: p.seen.view.Instances(p.seen.clock.Now())}, nil
}

// stats is GET /v1/stats.
func (p *Proxy) stats(_ context.Context, in *askStats) (*statsAnswer, error) {
	now := p.seen.clock.Now()
	q := view.Query{}
	var err error
	if q.From, err = parseAgo("from", in.From, now.Wall, -15*time.Minute); err != nil {
		return nil, err
	}
	if q.To, err = parseAgo("to", in.To, now.Wall, 0); err != nil {
		return nil, err
	}
	if q.To.Before(q.From) {
		return nil, at(problem(http.StatusUnprocessableEntity, "to %s is before from %s", in.To, in.From), "query.to", "is before from", in.To)
	}
	if q.Route, err = parseRoute(in.Route); err != nil {
		return nil, err
	}
	if err := checkInstance(in); err != nil {
		return nil, err
	}
	q.Worker, q.Instance = in.Worker, in.Instance
	return &statsAnswer{Body: p.seen.view.Stats(now, q)}, nil
}

// parseAgo reads a time, or a duration before now.
func parseAgo(field, s string, now time.Time, otherwise time.Duration) (time.Time, error) {
	if s == "" {
		return now.Add(otherwise), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d <= 0 {
		return now.Add(d), nil
	}
	const message = "is neither a time such as 2026-01-02T15:04:05Z nor as long ago as -15m"
	return now, at(problem(http.StatusUnprocessableEntity, "%s %q %s", field, shorten(s), message), "query."+field, message, shorten(s))
}

// parseRoute reads a pattern of routes; nil when it is empty.
func parseRoute(s string) (*view.Key, error) {
	if s == "" {
		return nil, nil
	}
	parts := splitRoute(s)
	if len(parts) != 3 {
		const message = "is no route; write from→type→to or from.type.to, with * for any"
		return nil, at(problem(http.StatusUnprocessableEntity, "route %q %s", shorten(s), message), "query.route", message, shorten(s))
	}
	return &view.Key{From: parts[0], Type: parts[1], To: parts[2]}, nil
}

// checkInstance refuses what asks for instances and for something else, or does not say whose.
func checkInstance(in *askStats) error {
	switch {
	case in.Worker != "" && in.Route != "":
		const message = "is given besides a route; ask for the one or the other"
		return at(problem(http.StatusUnprocessableEntity, "worker %q %s", shorten(in.Worker), message), "query.worker", message, shorten(in.Worker))
	case in.Instance != "" && in.Worker == "":
		const message = "is given without its worker"
		return at(problem(http.StatusUnprocessableEntity, "instance %q %s", shorten(in.Instance), message), "query.instance", message, shorten(in.Instance))
	}
	return nil
}

// splitRoute takes from→type→to and from.type.to, which is easier to type.
func splitRoute(s string) []string {
	if strings.Contains(s, "→") {
		return strings.Split(s, "→")
	}
	return strings.Split(s, ".")
}

func (p *Proxy) routeNetwork(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "get-network", Method: http.MethodGet, Path: "/v1/network", Tags: []string{"network"},
		Summary:     "The fabric as it was in the last seconds",
		Description: "Workers and routes, declared in the table or observed, each with its health and what is wrong in words. Made anew every two seconds.",
		Responses: map[string]*huma.Response{"200": {
			Description: "OK", Content: map[string]*huma.MediaType{"application/json": {
				Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Network](), true, ""),
			}},
		}},
	}, p.network)
	huma.Register(a, huma.Operation{
		OperationID: "list-instances", Method: http.MethodGet, Path: "/v1/instances", Tags: []string{"network"},
		Summary:     "List the instances of all workers",
		Description: "Those that left or were lost are listed for 15 minutes more.",
	}, look(p.instances))
	huma.Register(a, huma.Operation{
		OperationID: "get-stats", Method: http.MethodGet, Path: "/v1/stats", Tags: []string{"network"},
		Summary: "What went along routes or to instances, over time",
		Description: "Steps of 5 seconds for the last 15 minutes; of a minute when from is further back, for a day. " +
			"What came with a beat is spread evenly over the time since the one before, the last 15 seconds at most. " +
			"Points of which beats may still tell are marked unfinished. At most 200 routes or instances are answered. " +
			"Of an instance 15 minutes are kept, also of one that left or was lost since.",
	}, look(p.stats))
}
