package api

import (
	"context"
	"net/http"
	"net/url"
)

// Agents lists the agents whose names were claimed.
func (c *Client) Agents(ctx context.Context) (AgentList, error) {
	var list AgentList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "agents"}, into: &list})
	return list, err
}

// ClaimAgent claims or renews the name of an agent. 409 while another id holds it; the problem says who that is.
func (c *Client) ClaimAgent(ctx context.Context, name string, claim Claim) (Lease, error) {
	var lease Lease
	_, err := c.call(ctx, call{method: http.MethodPut, path: agentPath(name), body: claim, into: &lease, repeatable: true})
	return lease, err
}

// ReleaseAgent gives a name back. A name that nobody holds is released already; 409 when another id holds it.
func (c *Client) ReleaseAgent(ctx context.Context, name, id string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: agentPath(name), query: url.Values{"id": {id}}, repeatable: true})
	return err
}

func agentPath(name string) []string { return []string{"v1", "agents", name} }
