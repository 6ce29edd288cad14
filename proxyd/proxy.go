package proxyd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/inbox"
)

// shutdownTime is what requests in progress get when Run ends. It is longer than any of them may take at the broker.
const shutdownTime = 5 * time.Second

// Proxy serves one fabric's table. Make it with [New], then call Run once.
type Proxy struct {
	cfg     Config
	store   *store
	replies *replies
	table   *table
	leases  *leases
	keeper  *keeper
	dead    *deadLetters
	burials *burials
	others  *proxies
	seen    *observer
	streams *streams
	later   *schedules
	alarms  *alarms
	known   *alarmFacts
	traces  *traceStore
	ln      net.Listener
	server  *http.Server

	readyOnce sync.Once
	ready     chan struct{}
}

// New makes a proxy on a connection that stays the caller's, and binds its address; nothing is served before Run, which
// also closes the listener. The connection should reconnect for ever: while it is away the proxy answers 503.
func New(nc *nats.Conn, cfg Config) (*Proxy, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	store, err := newStore(nc, cfg)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		cfg: cfg, store: store, table: newTable(store), leases: newLeases(store, cfg.Lease),
		replies: &replies{inboxes: inbox.Of(nc, cfg.ReplyPrefixes), log: cfg.Log},
		ready:   make(chan struct{}),
	}
	p.dead = newDeadLetters(store, p.table)
	p.others = newProxies(store, cfg.Node)
	p.later = &schedules{store: store, table: p.table}
	p.traces = &traceStore{store}
	p.keeper = newKeeper(store, cfg.Node, p.dead.settle)
	p.seen = newObserver(store, p.keeper)
	p.streams = newStreams(p.seen)
	p.burials = newBurials(store, p.table)
	if err := p.newAlarms(); err != nil {
		return nil, err
	}
	routes, err := p.routes()
	if err != nil {
		return nil, err
	}
	if p.ln, err = listen(cfg); err != nil {
		return nil, err
	}
	p.server = newServer(newDoorman(routes, newHosts(p.ln, cfg.Advertise), cfg), cfg.Log)
	p.server.RegisterOnShutdown(p.streams.close)
	return p, nil
}

// URL of the REST interface, with the port that was bound.
func (p *Proxy) URL() string { return listenerURL(p.ln, p.cfg.Advertise) }

// Ready is closed once the buckets are there and requests are answered.
func (p *Proxy) Ready() <-chan struct{} { return p.ready }

// Run serves until ctx ends, then lets requests in progress finish for five seconds. Its error is nil when ctx ended it.
// It waits for a broker that is away at the start.
func (p *Proxy) Run(ctx context.Context) error {
	id := nuid.Next()
	unlist, err := p.announce(id)
	if err != nil {
		return errors.Join(err, p.ln.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	served := make(chan error, 1)
	go func() { served <- p.server.Serve(p.ln) }()
	prepared := make(chan struct{})
	go func() { defer close(prepared); p.prepare(ctx) }()
	var kept sync.WaitGroup
	kept.Go(func() { p.keeper.run(ctx, p.ready) })
	kept.Go(func() { p.seen.run(ctx, p.ready) })
	kept.Go(func() { (&later{store: p.store, keeper: p.keeper}).run(ctx, p.ready, p.URL()) })
	kept.Go(func() { p.burials.run(ctx) })
	kept.Go(func() { (&noRoom{store: p.store, replies: p.replies}).run(ctx) })
	kept.Go(func() { p.beats(id).Run(ctx) })
	kept.Go(func() { p.watchAlarms(ctx) })
	p.cfg.Log.Info().Str("url", p.URL()).Str("prefix", p.cfg.Prefix).Msg("proxy listens")

	var failed error
	select {
	case <-ctx.Done():
		failed = p.shutdown()
		<-served
	case err := <-served:
		failed = fmt.Errorf("serving %s: %w", p.URL(), err)
	}
	cancel()
	<-prepared
	kept.Wait()
	unlist()
	return failed
}

// prepare makes the buckets and tries again until it works or ctx ends.
func (p *Proxy) prepare(ctx context.Context) {
	for wait := time.Second; ; wait = min(2*wait, 5*time.Second) {
		err := p.prepareOnce(ctx)
		if err == nil {
			p.readyOnce.Do(func() { close(p.ready) })
			return
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errTrouble) || errors.Is(err, errMajority) {
			wait = time.Second // whoever has the trouble tells of it
		} else {
			p.cfg.Log.Warn().Err(err).Stringer("again_in", wait).Msg("the table cannot be set up yet")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (p *Proxy) prepareOnce(ctx context.Context) error {
	if err := p.store.refuse(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := bucket.Ensure(ctx, p.store.js, p.cfg.Prefix); err != nil {
		return err
	}
	p.prepareLater(ctx)
	p.prepareTraces(ctx)
	return p.others.announce(ctx, p.told())
}

// prepareLater makes the streams that the mover needs, so that who awaits the proxy can send messages later. The table is
// served without them: the mover goes on trying, and says why it cannot.
func (p *Proxy) prepareLater(ctx context.Context) {
	if err := bucket.EnsureLater(ctx, p.store.js, p.cfg.Prefix); err != nil {
		p.cfg.Log.Debug().Err(err).Msg("the stream of delayed messages cannot be made yet")
	}
}

// prepareTraces makes the stream of traces, without which the table is served too.
func (p *Proxy) prepareTraces(ctx context.Context) {
	if err := bucket.EnsureTraces(ctx, p.store.js, p.cfg.Prefix); err != nil {
		p.cfg.Log.Warn().Err(err).Msg("the stream of traces cannot be made; no traces are kept")
	}
}

func (p *Proxy) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off after %v: %w", shutdownTime, err), p.server.Close())
	}
	return nil
}
