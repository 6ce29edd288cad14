package main

import (
	"context"
	"fmt"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// warnWeakLine tells of durable routes to workers that pass on along direct ones, also when it is those that were written: a
// line is as strong as its weakest route.
func (a *app) warnWeakLine(ctx context.Context, client *api.Client, reg damrey.Registration) {
	list, err := client.Workers(ctx)
	if err != nil {
		return // the change was made
	}
	for _, from := range list.Workers {
		for _, c := range from.Commands {
			if c.Delivery != damrey.Durable || from.Name != reg.Name && c.Worker != reg.Name {
				continue
			}
			for _, target := range list.Workers {
				if target.Name == c.Worker {
					a.warnDirect(from.Name, c, target.Registration)
				}
			}
		}
	}
}

// warnDirect tells of the direct routes of a durable route's target.
func (a *app) warnDirect(from string, c damrey.Command, target damrey.Registration) {
	for _, next := range target.Commands {
		if next.Delivery != damrey.Durable {
			fmt.Fprintf(a.stderr, "note: %s→%s→%s is durable, and %s passes on along %s→%s→%s, which is direct: at most once from there\n",
				from, c.Name, c.Worker, c.Worker, target.Name, next.Name, next.Worker)
		}
	}
}

// warnOverLimit tells that more is stored for a worker than its limits allow now: nothing is removed, but nothing more is
// taken.
func (a *app) warnOverLimit(ctx context.Context, client *api.Client, reg damrey.Registration) {
	if reg.MaxMessages == 0 && reg.MaxBytes == 0 {
		return
	}
	messages, bytes, err := client.Stored(ctx, reg.Name)
	if err != nil {
		return // the change was made, and the proxy's log says it too
	}
	const rest = "they stay, and new ones are refused until there is room"
	if most := uint64(reg.MaxMessages); most > 0 && messages > most {
		fmt.Fprintf(a.stderr, "note: %d messages are stored for %s, more than its max_messages of %d; %s\n", messages, reg.Name, most, rest)
	}
	if most := uint64(reg.MaxBytes); most > 0 && bytes > most {
		fmt.Fprintf(a.stderr, "note: %d bytes are stored for %s, more than its max_bytes of %d; %s\n", bytes, reg.Name, most, rest)
	}
}
