package proxyd_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/proxyd"
)

// A server lets a stream have 1,000 consumers by default, and every instance watches the table by one.
func TestProxy_SaysThatThereAreTooManyWatchers(t *testing.T) {
	t.Parallel()
	srv := startNATS(t, t.TempDir(), -1, func(o *server.Options) { o.JetStreamLimits.DefaultMaxConsumers = 3 })
	r := startProxy(t, srv, proxyd.Config{})
	await(t, r.proxy.Ready())
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "damrey_workers")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the proxy's own is one, too
		if _, err = kv.WatchAll(t.Context()); err != nil {
			break
		}
	}
	p := r.must(503, "GET", "/v1/workers", "").problem(t)
	if !strings.Contains(p.Detail, "default_max_consumers: -1") {
		t.Error(p.Detail)
	}
	r.must(201, "POST", "/worker/add", `{"name":"w"}`)
}
