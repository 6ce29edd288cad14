package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
)

const (
	// doctorReach is how long NATS may take to be reached.
	doctorReach = 5 * time.Second
	// doctorAnswer is how long one answer may take.
	doctorAnswer = 3 * time.Second
)

// denials are what the server did not permit.
type denials struct {
	mu   sync.Mutex // guards errs
	errs []error
}

func (d *denials) add(_ *nats.Conn, _ *nats.Subscription, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs = append(d.errs, err)
}

// has: something about a subject was refused, to "publish" or to "subscription".
func (d *denials) has(verb, subject string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, err := range d.errs {
		text := strings.ToLower(err.Error())
		if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(text, verb) && strings.Contains(text, strings.ToLower(`"`+subject+`"`)) {
			return true
		}
	}
	return false
}

// connect tries once; what is in the way is found out by checkBroker, which tries again.
func (d *doctor) connect(c damrey.ConnectConfig) {
	c.Name = "damrey-doctor"
	c.Options = append(c.Options, nats.ErrorHandler(d.denied.add), nats.MaxReconnects(3))
	d.nc, d.unreached = connectNow(c, doctorReach, "is it running? name another with --nats or NATS_URL")
}

func (d *doctor) close() {
	if d.nc != nil {
		d.nc.Close()
	}
}

func checkProxy(ctx context.Context, d *doctor) ([]finding, error) {
	fabric, err := d.client.Fabric(ctx)
	if err != nil {
		return []finding{{Severity: failure, Where: d.client.URL(), What: err.Error(), Do: "damrey proxy", Hint: "or `damrey doctor --proxy ADDRESS` when it is elsewhere"}}, nil
	}
	d.fabric = &fabric
	if fabric.Prefix != d.prefix {
		return []finding{{Severity: failure, Where: d.client.URL(),
			What: fmt.Sprintf("it is a proxy of the fabric %q, not of %q", fabric.Prefix, d.prefix), Do: "damrey doctor --prefix " + fabric.Prefix}}, nil
	}
	table, err := d.client.Workers(ctx)
	if err != nil {
		return []finding{{Severity: failure, Where: d.client.URL(), What: "the table cannot be read: " + err.Error(), Do: "curl " + d.client.URL() + "/readyz"}}, nil
	}
	d.table = &table
	if fabric.Version != damrey.Version {
		return []finding{{Severity: note, Where: d.client.URL(),
			What: fmt.Sprintf("it is version %s, and this program %s", fabric.Version, damrey.Version), Do: "damrey version", Hint: "on both machines"}}, nil
	}
	return nil, nil
}

// checkBroker looks whether there is a server that can carry a fabric.
func checkBroker(ctx context.Context, d *doctor) ([]finding, error) {
	if d.nc == nil {
		return []finding{{Severity: failure, Where: "NATS", What: strings.Join(errorLines(d.unreached), "; "), Do: "damrey doctor --nats URL"}}, nil
	}
	where := d.nc.ConnectedUrlRedacted()
	if _, err := broker.Check(ctx, d.nc); err != nil {
		do := "nats-server -js, of version 2.12 or newer, or the broker inside `damrey proxy`"
		switch {
		case errors.Is(err, broker.ErrMajority):
			do = "start the servers of the cluster that are away"
		case errors.Is(err, broker.ErrNoJetStream):
			do = "nats-server -js, and JetStream for this account; or a login that may use it"
		}
		return []finding{{Severity: failure, Where: where, What: strings.Join(errorLines(err), "; "), Do: do}}, nil
	}
	js, err := jetstream.New(d.nc)
	if err != nil {
		return nil, err
	}
	d.js = js
	var found []finding
	if err := bucket.NeedsRepeat(d.nc.ConnectedServerVersion()); err != nil {
		found = append(found, finding{Severity: note, Where: where, What: err.Error(), Do: "upgrade nats-server to 2.14 or newer, if you need recurring schedules"})
	}
	if d.nc.MaxPayload() < 1<<16 {
		found = append(found, finding{Severity: warning, Where: where, What: fmt.Sprintf("max_payload is %d bytes, so that larger messages are refused", d.nc.MaxPayload()),
			Do: "max_payload: 1MB in the configuration of nats-server"})
	}
	return append(found, d.apiLevel(ctx, where)...), nil
}

// apiLevel is JetStream's: that of 2.12 is 2. In a cluster the oldest server's counts.
func (d *doctor) apiLevel(ctx context.Context, where string) []finding {
	ctx, cancel := context.WithTimeout(ctx, doctorAnswer)
	defer cancel()
	info, err := d.js.AccountInfo(ctx)
	if err != nil {
		return []finding{{Severity: warning, Where: where, What: "JetStream's API level is not known: " + err.Error(), Do: "nats account info"}}
	}
	const needed = 2
	if info.API.Level < needed {
		return []finding{{Severity: failure, Where: where,
			What: fmt.Sprintf("JetStream's API level is %d, and durable routes need %d for atomic batches and delayed messages", info.API.Level, needed),
			Do:   "upgrade every nats-server of it to 2.12 or newer"}}
	}
	return nil
}

// checkDomain looks whether the JetStream that is reached here is that of the proxy, and whether agents can link to it.
func checkDomain(ctx context.Context, d *doctor) ([]finding, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorAnswer)
	defer cancel()
	info, err := d.js.AccountInfo(ctx)
	if err != nil {
		return nil, err
	}
	where := d.nc.ConnectedUrlRedacted()
	switch {
	case d.fabric != nil && d.fabric.Domain != info.Domain:
		return []finding{{Severity: failure, Where: where,
			What: fmt.Sprintf("JetStream here is of the domain %q, and the proxy's of %q: instances here see another table, or none", info.Domain, d.fabric.Domain),
			Do:   "switch JetStream off in the leaf node there, or run `damrey agent`, which maps the domain"}}, nil
	case info.Domain == "" && d.fabric != nil && len(d.fabric.Leaf) > 0:
		return []finding{{Severity: failure, Where: where, What: "JetStream has no domain, so that agents cannot reach it through their leaf nodes",
			Do: "jetstream { domain: damrey } in the configuration of nats-server"}}, nil
	case info.Domain == "":
		return []finding{{Severity: note, Where: where, What: "JetStream has no domain, so that the fabric can take no agents",
			Do: "jetstream { domain: damrey } in the configuration of nats-server, if you want some"}}, nil
	}
	through, err := jetstream.NewWithDomain(d.nc, info.Domain)
	if err != nil {
		return nil, err
	}
	if _, err := through.AccountInfo(ctx); err != nil {
		return []finding{{Severity: failure, Where: where, What: fmt.Sprintf("the domain %s does not answer: %v", info.Domain, err),
			Do: "let this login publish on $JS." + info.Domain + ".API.>"}}, nil
	}
	return nil, nil
}
