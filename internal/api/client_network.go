package api

import (
	"context"
	"net/http"
	"net/url"
)

// Network asks how the fabric is.
func (c *Client) Network(ctx context.Context) (Network, error) {
	var n Network
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "network"}, into: &n})
	return n, err
}

// Instances lists the instances of all workers.
func (c *Client) Instances(ctx context.Context) (InstanceList, error) {
	var list InstanceList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "instances"}, into: &list})
	return list, err
}

// StatsQuery says what GET /v1/stats answers; see there for how times and routes are written.
type StatsQuery struct {
	From, To string // RFC 3339, or as long ago as -15m; empty: the last 15 minutes
	Route    string // from.type.to, where * stands for any; empty: everything together
	// Worker asks for its instances instead of routes, or for the one whose id Instance is.
	Worker, Instance string
}

// Stats asks what went along routes, or to instances.
func (c *Client) Stats(ctx context.Context, q StatsQuery) (StatsAnswer, error) {
	query := url.Values{}
	for name, value := range map[string]string{"from": q.From, "to": q.To, "route": q.Route, "worker": q.Worker, "instance": q.Instance} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var answer StatsAnswer
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "stats"}, query: query, into: &answer})
	return answer, err
}
