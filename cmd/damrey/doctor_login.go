package main

import (
	"context"
	"time"

	"github.com/nats-io/nuid"

	"github.com/damrey/damrey/internal/report"
)

// checkLogin tries what a worker's login must be able to do, under the name of a worker that there is not.
func checkLogin(ctx context.Context, d *doctor) ([]finding, error) {
	probe := "probe-" + nuid.Next()
	listen := []string{
		d.prefix + ".msg." + probe + ".*.*", d.prefix + ".beat." + probe + ".*", d.prefix + ".event.>",
		report.TapSubject(d.prefix), d.nc.NewInbox() + ".>", "$SRV.PING." + probe,
	}
	say := []string{
		d.prefix + ".msg." + probe + ".a.b", d.prefix + ".job." + probe + ".a.b", d.prefix + ".event.probe." + probe,
		"$JS.API.STREAM.NAMES", "$SRV.PING." + probe,
	}
	for i, subject := range listen {
		queue := ""
		if i == 0 {
			queue = probe // as instances do, and nobody else may
		}
		sub, err := d.nc.QueueSubscribeSync(subject, queue)
		if err != nil {
			return nil, err
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone
	}
	for _, subject := range say {
		if err := d.nc.Publish(subject, nil); err != nil {
			return nil, err
		}
	}
	flushing, cancel := context.WithTimeout(ctx, doctorAnswer)
	defer cancel()
	if err := d.nc.FlushWithContext(flushing); err != nil {
		return nil, err
	}
	waitUntil(ctx, time.Now().Add(settleTime)) // the server's refusals come beside its answers
	return d.refusals(listen, say), nil
}

// settleTime is how long nats.go may take to hand out what came before the answer to a flush.
const settleTime = 100 * time.Millisecond

func (d *doctor) refusals(listen, say []string) (found []finding) {
	add := func(verb, to, subject string) {
		found = append(found, finding{Severity: failure, Where: d.nc.ConnectedUrlRedacted(),
			What: "this login may not " + verb + " " + subject,
			Do:   "permissions { " + to + ": [\"" + d.prefix + ".>\", \"_INBOX.>\", \"$JS.API.>\", \"$JS.ACK.>\", \"$KV.>\", \"$SRV.>\"] } for this user in the configuration of nats-server"})
	}
	for _, subject := range listen {
		if d.denied.has("subscription", subject) {
			add("subscribe", "subscribe", subject)
		}
	}
	for _, subject := range say {
		if d.denied.has("publish", subject) {
			add("publish to", "publish", subject)
		}
	}
	return found
}
