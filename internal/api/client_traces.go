package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// TraceFilter says which traces are listed. The zero value takes all.
type TraceFilter struct {
	Route   string // from→type→to where * is any, or a worker
	Outcome string // ok, error, timeout or stop
	Since   time.Time
	Limit   int // 0: as many as the proxy likes
}

func (f TraceFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"route": f.Route, "outcome": f.Outcome} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// Traces lists the last traces, the newest first.
func (c *Client) Traces(ctx context.Context, f TraceFilter) (TraceList, error) {
	var list TraceList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "traces"}, query: f.query(), into: &list})
	return list, err
}

// Trace is one trace with its spans. 404 when there is none of this id.
func (c *Client) Trace(ctx context.Context, id string) (Trace, error) {
	var trace Trace
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "traces", id}, into: &trace})
	return trace, err
}
