package agentd

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/inbox"
)

// Agent is the bridge of one machine. Make it with [New], then call Run once.
type Agent struct {
	cfg     Config
	nc      *nats.Conn
	member  *Membership
	watcher *damrey.Watcher
	bridge  *damrey.Bridge
	saver   *saver
	ran     atomic.Bool
	ready   chan struct{}
	replies inbox.Prefixes

	linked  chan struct{} // the link to the broker came
	up      atomic.Bool   // the leaf server has its link to the broker
	behind  atomic.Bool   // the link was away, and the table has not been read since
	refused atomic.Uint64 // questions whose reply subject was no inbox
}

// New makes an agent on a connection to this machine's leaf server, which stays the caller's, as m does. Nothing happens
// before Run.
func New(nc *nats.Conn, m *Membership, cfg Config) *Agent {
	cfg = cfg.withDefaults()
	a := &Agent{cfg: cfg, nc: nc, member: m, ready: make(chan struct{}), linked: make(chan struct{}, 1), replies: inbox.Of(nc, cfg.ReplyPrefixes)}
	a.up.Store(cfg.Uplink == nil)
	a.saver = newSaver(m.state, m.Fabric.Prefix, m.table, cfg.Log)
	a.watcher = damrey.NewWatcher(nc, damrey.WatchConfig{
		Prefix: m.Fabric.Prefix, Last: m.table, OnChange: a.changed, Log: cfg.Log,
	})
	a.bridge = damrey.NewBridge(nc, damrey.BridgeConfig{
		Prefix: m.Fabric.Prefix, Rc: cfg.Rc, Timeout: cfg.Timeout, Table: a.watcher.Table,
		ReplyPrefixes: cfg.ReplyPrefixes, Tracer: cfg.Tracer, Sampling: cfg.Sampling, Log: cfg.Log,
	})
	return a
}

// Ready is closed when this machine has a routing table, fresh or stale, and programs without the library are routed.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Stale says whether the routing table may be older than the broker's: the link to the broker is down, or the table
// cannot be read.
func (a *Agent) Stale() bool { return !a.up.Load() || a.behind.Load() || !a.watcher.Fresh() }

// Run serves until ctx ends and returns nil then, with the name given back and the last table on disk. It outlives the
// broker and the proxy. It ends by itself when another agent took the name ([ErrNameHeld]) and when the broker is
// somewhere else than the leaf server looks for it and cannot be linked to there ([ErrMoved]; see Config.Relink).
func (a *Agent) Run(ctx context.Context) error {
	if !a.ran.CompareAndSwap(false, true) {
		return ErrAlreadyRun
	}
	id := nuid.Next()
	stop, err := a.announce(id)
	if err != nil {
		return err
	}
	g, ctx := newGroup(ctx)
	g.run(func() error { a.beats(id).Run(ctx); return nil })
	g.run(func() error { return a.watcher.Run(ctx) })
	g.run(func() error { return a.bridge.Run(ctx) })
	g.run(func() error { return a.serveRows(ctx) })
	g.run(func() error { return a.keepName(ctx) })
	g.run(func() error { a.saver.run(ctx); return nil })
	if a.cfg.Uplink != nil {
		g.run(func() error { a.cfg.Uplink(ctx, a.uplink); return nil })
		g.run(func() error { a.tellUp(ctx); return nil })
	}
	err = errors.Join(g.wait(), a.saver.save())
	stop()
	if releaseErr := a.member.release(); releaseErr != nil {
		a.cfg.Log.Warn().Err(releaseErr).Msg("the agent stops without having given its name back")
	}
	return err
}

// changed takes a new table, from the watcher's goroutine.
func (a *Agent) changed(t *damrey.Table) {
	if !a.watcher.Fresh() {
		return // only what the broker vouches for may replace what is on disk
	}
	a.behind.Store(false)
	a.saver.offer(t)
}
