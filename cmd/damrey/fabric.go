package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/proxyd"
)

// fabricConfig says which parts `damrey proxy` and `damrey dev` run, and how.
type fabricConfig struct {
	// NATS is the server or cluster to use. Empty URL: the broker runs in this process.
	NATS damrey.ConnectConfig
	// LeafURLs are where agents reach the server of NATS; of the broker in this process they are known.
	LeafURLs []string
	// Broker, when it runs in this process.
	Broker broker.Config
	// Proxy, without what is known only when NATS is reached.
	Proxy proxyd.Config
	// OTLP is where spans go; nil: nowhere.
	OTLP *otlp
	Log  zerolog.Logger
}

// fabric is what runs, for the verb to print.
type fabric struct {
	rest string
	nats []string
	leaf []string
}

// setupTime bounds each step before the proxy listens: reaching NATS, making the buckets.
const setupTime = 15 * time.Second

// tableTime is how long the proxy waits for the table before it listens without. A damaged row must not keep away the
// REST interface, through which it is mended.
const tableTime = 3 * time.Second

// readyOrAfter is closed when ready is, or after d.
func readyOrAfter(ready <-chan struct{}, d time.Duration) <-chan struct{} {
	either := make(chan struct{})
	go func() {
		defer close(either)
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ready:
		case <-timer.C:
		}
	}()
	return either
}

// startFabric starts the parts one after another, each when the one before is ready:
//
//	broker (or an external NATS) ── connection ── buckets ─┬─ watcher ── bridge   for clients of the broker itself
//	                                                       └─ proxy               REST
//
// In a cluster the proxy comes first and makes the buckets: it tells why it waits for a majority.
func startFabric(ctx context.Context, g *group, cfg fabricConfig) (fabric, error) {
	if err := proxyd.Validate(cfg.Proxy); err != nil {
		return fabric{}, usageError("%w", err)
	}
	if err := proxyd.Check(cfg.Proxy); err != nil { // before a broker is made for nothing
		return fabric{}, err
	}
	nc, f, err := reachNATS(ctx, g, &cfg)
	if err != nil {
		return f, err
	}
	cfg.Proxy.NATSURLs, cfg.Proxy.LeafURLs = f.nats, f.leaf
	watcher := damrey.NewWatcher(nc, damrey.WatchConfig{Prefix: cfg.Proxy.Prefix, Log: cfg.Log})
	spans, err := cfg.OTLP.start(g, "damrey-proxy", cfg.Log)
	if err != nil {
		return f, err
	}
	cfg.Proxy.Bridge = damrey.NewBridge(nc, damrey.BridgeConfig{Prefix: cfg.Proxy.Prefix, Table: watcher.Table, ReplyPrefixes: cfg.Proxy.ReplyPrefixes, Tracer: spans, Sampling: cfg.OTLP.sampling(), Log: cfg.Log})
	if cfg.Broker.Cluster.Name != "" {
		if f.rest, err = startProxy(g, nc, cfg); err != nil {
			return f, err
		}
		return f, startBridge(g, watcher, cfg.Proxy.Bridge)
	}
	if err := ensureBuckets(ctx, nc, cfg.Proxy); err != nil {
		return f, err
	}
	if err := startBridge(g, watcher, cfg.Proxy.Bridge); err != nil {
		return f, err
	}
	f.rest, err = startProxy(g, nc, cfg)
	return f, err
}

func startProxy(g *group, nc *nats.Conn, cfg fabricConfig) (url string, err error) {
	proxy, err := proxyd.New(nc, cfg.Proxy)
	if err != nil {
		return "", err
	}
	return proxy.URL(), g.start("proxy", proxy.Run, proxy.Ready())
}

func startBridge(g *group, watcher *damrey.Watcher, bridge *damrey.Bridge) error {
	if err := g.start("watcher of the table", watcher.Run, readyOrAfter(watcher.Ready(), tableTime)); err != nil {
		return err
	}
	return g.start("bridge", bridge.Run, bridge.Ready())
}

// reachNATS gives a connection to the broker in this process or to the external server, and fills in the domain.
func reachNATS(ctx context.Context, g *group, cfg *fabricConfig) (*nats.Conn, fabric, error) {
	if cfg.NATS.URL != "" {
		return reachExternal(ctx, g, cfg)
	}
	b, err := broker.New(cfg.Broker)
	if err != nil {
		return nil, fabric{}, wrongCall(err, broker.ErrConfig)
	}
	if err := g.start("broker", b.Run, b.Ready()); err != nil {
		return nil, fabric{}, err
	}
	nc, err := b.Connect(nats.Name("damrey-proxy"), nats.ReconnectBufSize(-1))
	if err != nil {
		return nil, fabric{}, err
	}
	g.cleanup(nc.Close)
	cfg.Proxy.Domain, cfg.Proxy.Trouble, cfg.Proxy.Majority, cfg.Proxy.Disk = b.Domain(), b.Trouble, b.Majority, b.Disk
	cfg.Proxy.Subscribers = subscribersOf(b)
	return nc, fabric{nats: []string{b.ClientURL()}, leaf: []string{b.LeafURL()}}, nil
}

func reachExternal(ctx context.Context, g *group, cfg *fabricConfig) (*nats.Conn, fabric, error) {
	nc, err := connectPatiently(ctx, cfg.NATS, "is that server running? name another with --nats, or leave it out for the broker inside")
	if err != nil {
		return nil, fabric{}, err
	}
	g.cleanup(nc.Close)
	features, err := checkPatiently(ctx, nc, cfg.Log)
	if err != nil {
		return nil, fabric{}, err
	}
	cfg.Proxy.Domain = features.Domain
	if features.Domain == "" && len(cfg.LeafURLs) > 0 {
		return nil, fabric{}, fmt.Errorf("--leaf: %s has no JetStream domain, so agents cannot link to it; "+
			"add `jetstream { domain: NAME }` to its configuration, or leave --leaf out", nc.ConnectedUrlRedacted())
	}
	if cluster := nc.ConnectedClusterName(); cluster != "" && cfg.Proxy.Replicas == 0 {
		cfg.Log.Warn().Str("cluster", cluster).Msg("this NATS is a cluster, and new streams get one copy, on one of its servers; type --replicas 3 for three")
	}
	return nc, fabric{nats: []string{nc.ConnectedUrlRedacted()}, leaf: cfg.LeafURLs}, nil
}

func ensureBuckets(ctx context.Context, nc *nats.Conn, cfg proxyd.Config) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("set up the table: %w", err)
	}
	js = bucket.WithReplicas(js, cfg.Replicas, func(stream string, from, to int) {
		cfg.Log.Info().Str("stream", stream).Int("from", from).Int("to", to).Msg("the number of replicas is changed")
	})
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	if err := bucket.Ensure(ctx, js, cfg.Prefix); err != nil {
		return fmt.Errorf("set up the table: %w", err)
	}
	return nil
}
