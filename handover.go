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
// new ones have joined before the old ones drain.
func (w *Instance) handOver(ctx context.Context, nc *nats.Conn) {
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	for ctx.Err() == nil {
		row := w.view.Load().row
		if row == nil || row.Registration.Agent == "" || row.Registration.Agent == nc.ConnectedServerName() {
			return
		}
		if w.someoneReceivesAt(ctx, nc, row.Registration.Agent) {
			pause(ctx, handoverSettle)
			return
		}
		pause(ctx, handoverPoll)
	}
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
