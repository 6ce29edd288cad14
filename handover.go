package damrey

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// handOver is called before an instance leaves. When the worker is pinned to
// another agent now, it waits until an instance there receives, so that the
// new ones have joined before the old ones drain. False when the table or the
// connection changed meanwhile, so that this instance is to stay: the gate has
// been told, and looks again.
func (w *Instance) handOver(ctx context.Context, nc *nats.Conn) (leave bool) {
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	for settled := ""; ctx.Err() == nil; {
		if !nc.IsConnected() || w.closedBecause(nc) == "" {
			return false
		}
		row := w.view.Load().row
		if row == nil || row.Registration.Agent == "" || row.Registration.Agent == settled {
			return true
		}
		if agent := row.Registration.Agent; w.someoneReceivesAt(ctx, nc, agent) {
			pause(ctx, handoverSettle)
			settled = agent
		} else {
			pause(ctx, handoverPoll)
		}
	}
	return nc.IsConnected() && w.closedBecause(nc) != ""
}

// someoneReceivesAt asks all instances of this worker where they are.
func (w *Instance) someoneReceivesAt(ctx context.Context, nc *nats.Conn, agent string) bool {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return false
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	if err := nc.PublishRequest(micro.APIPrefix+"."+micro.PingVerb.String()+"."+w.cfg.Name, inbox, nil); err != nil {
		return false
	}
	end := time.Now().Add(handoverPoll)
	for time.Now().Before(end) && ctx.Err() == nil {
		m, err := sub.NextMsg(time.Until(end))
		if err != nil {
			return false
		}
		var ping micro.Ping
		if json.Unmarshal(m.Data, &ping) != nil {
			continue
		}
		meta := ping.Metadata
		if meta["fabric"] == w.opts.prefix && meta["agent"] == agent && meta["receiving"] == "true" {
			return true
		}
	}
	return false
}
