package api

import (
	"context"
	"net/http"
)

// Listeners asks who subscribes to messages at the broker of the proxy.
func (c *Client) Listeners(ctx context.Context) (ListenerList, error) {
	var list ListenerList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "listeners"}, into: &list})
	return list, err
}
