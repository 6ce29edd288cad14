package main

import (
	"context"
	"fmt"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// warnWeakLine tells of durable routes to workers that pass on along direct ones: a line is as strong as its weakest route.
func (a *app) warnWeakLine(ctx context.Context, client *api.Client, reg damrey.Registration) {
	for _, c := range reg.Commands {
		if c.Delivery != damrey.Durable {
			continue
		}
		target, _, err := client.Worker(ctx, c.Worker)
		if err != nil {
			continue // not registered yet
		}
		for _, next := range target.Commands {
			if next.Delivery != damrey.Durable {
				fmt.Fprintf(a.stderr, "note: %s→%s→%s is durable, and %s passes on along %s→%s→%s, which is direct: at most once from there\n",
					reg.Name, c.Name, c.Worker, c.Worker, target.Name, next.Name, next.Worker)
			}
		}
	}
}

// warnOverLimit tells that more is stored for a worker than its limit allows now: nothing is removed, but nothing more is
// taken.
func (a *app) warnOverLimit(ctx context.Context, client *api.Client, reg damrey.Registration) {
	if reg.MaxMessages == 0 {
		return
	}
	network, err := client.Network(ctx)
	if err != nil {
		return // the change was made, and the proxy's log says it too
	}
	for _, edge := range network.Edges {
		if edge.To != reg.Name || edge.Durable == nil || edge.Durable.Stored <= uint64(reg.MaxMessages) {
			continue
		}
		fmt.Fprintf(a.stderr, "note: %d messages are stored for %s, more than its max_messages of %d; they stay, and new ones are refused until there is room\n",
			edge.Durable.Stored, reg.Name, reg.MaxMessages)
		return
	}
}
