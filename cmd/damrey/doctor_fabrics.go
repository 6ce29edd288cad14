package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/shell"
)

// rollCall is how long answers of services are gathered.
const rollCall = 500 * time.Millisecond

// present are the services of this fabric that answer; all when name is empty.
func (d *doctor) present(ctx context.Context, name string) ([]micro.Ping, error) {
	subject := "$SRV.PING"
	if name != "" {
		subject += "." + name
	}
	var all []micro.Ping
	err := d.gather(ctx, subject, nil, func(data []byte) {
		var p micro.Ping
		if json.Unmarshal(data, &p) == nil && p.Metadata["fabric"] == d.prefix {
			all = append(all, p)
		}
	})
	return all, err
}

// gather takes all answers to one question that come within a moment.
func (d *doctor) gather(ctx context.Context, subject string, question []byte, take func([]byte)) error {
	inbox := d.nc.NewInbox()
	sub, err := d.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone
	if err := d.nc.PublishRequest(subject, inbox, question); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rollCall)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
		take(m.Data)
	}
}

// checkFabrics looks for two fabrics of one name on one NATS: their instances mix, and each table knows half.
func checkFabrics(ctx context.Context, d *doctor) ([]finding, error) {
	proxies, err := d.present(ctx, report.ProxyWorker)
	if err != nil {
		return nil, err
	}
	if len(proxies) == 0 {
		return []finding{{Severity: failure, Where: d.nc.ConnectedUrlRedacted(), What: fmt.Sprintf("no proxy of the fabric %q answers on this NATS", d.prefix),
			Do: "damrey proxy --nats URL", Hint: "or `damrey doctor --nats URL` with the URL that `curl PROXY/v1/fabric` names"}}, nil
	}
	if d.table == nil {
		return nil, nil
	}
	var found []finding
	urls := make(map[string]bool)
	for _, p := range proxies {
		urls[p.Metadata["url"]] = true
	}
	for _, url := range sortedKeys(urls) {
		found = append(found, d.sameFabric(ctx, url)...)
	}
	return found, nil
}

// sameFabric compares another proxy's table with the one at hand. What was changed in between is the same a moment later.
func (d *doctor) sameFabric(ctx context.Context, url string) []finding {
	const looks = 4
	other, err := api.New(url)
	if err != nil {
		return []finding{{Severity: warning, Where: "proxy " + url, What: "it tells an address that is none: " + err.Error(), Do: "damrey proxy --advertise HOST", Hint: "there"}}
	}
	defer other.Close()
	for look := 1; ; look++ {
		mine, err := d.client.Workers(ctx)
		if err != nil {
			return []finding{{Severity: warning, Where: "proxy " + d.client.URL(), What: err.Error(), Do: "damrey doctor", Hint: "again"}}
		}
		theirs, err := other.Workers(ctx)
		if err != nil {
			return []finding{{Severity: note, Where: "proxy " + url, What: "it cannot be compared from here: " + err.Error(), Do: "damrey doctor --proxy " + shell.Word(url), Hint: "on its machine"}}
		}
		if maps.Equal(revisions(mine), revisions(theirs)) {
			return nil
		}
		if look == looks || !waitUntil(ctx, time.Now().Add(rollCall/2)) {
			break
		}
	}
	return []finding{{Severity: failure, Where: "proxy " + url,
		What: fmt.Sprintf("it keeps another table under the same prefix %q as %s: two fabrics mix on one NATS", d.prefix, d.client.URL()),
		Do:   "damrey proxy --prefix ANOTHER", Hint: "for one of them; or let both use the same JetStream"}}
}

func revisions(list api.WorkerList) map[string]uint64 {
	all := make(map[string]uint64, len(list.Workers))
	for _, w := range list.Workers {
		all[w.Name] = w.Revision
	}
	return all
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
