package broker

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Broker is a NATS server with JetStream and a listener for agents, in this process. All methods may be called at any
// time from any goroutine.
type Broker struct {
	*embedded
	cfg     Config
	leafURL atomic.Value // string, set before ready closes
}

// New checks cfg and the machine, and starts nothing: an error tells which field, port or directory stands in the way.
func New(cfg Config) (*Broker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, embedded: newEmbedded(cfg.Log, login(cfg)...)}
	b.clustered = cfg.Cluster.Name != ""
	if err := b.checkPorts(); err != nil {
		return nil, err
	}
	if err := checkStore(cfg.Dir, cfg.Cluster); err != nil {
		return nil, err
	}
	return b, nil
}

// Run serves until ctx ends, which is no error, and returns when the server, its goroutines and its claim of the
// directory are gone. Once only.
func (b *Broker) Run(ctx context.Context) (err error) {
	if err := b.claimRun(); err != nil {
		return err
	}
	if err := b.checkPorts(); err != nil { // again: New may have been a while ago
		return err
	}
	st, err := openStore(b.cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()

	opts := b.cfg.options()
	opts.StoreDir = st.dir
	if st.temp {
		opts.JetStreamMaxStore = memoryStore
	}
	b.before = func(ctx context.Context) error { return errors.Join(b.rollBack(ctx, st.dir), b.beginAfresh(st.dir)) }
	return b.serve(ctx, opts, func(_ *server.Server, opts *server.Options) {
		b.leafURL.Store(urlOf("nats-leaf", b.cfg.LeafHost, opts.LeafNode.Port)) // Start has put the chosen port there
	})
}

// LeafURL is where agents on this machine connect, without credentials; empty before Ready.
func (b *Broker) LeafURL() string {
	text, _ := b.leafURL.Load().(string)
	return text
}

// Domain is the JetStream domain.
func (b *Broker) Domain() string { return b.cfg.Domain }

func (b *Broker) checkPorts() error {
	for _, l := range b.cfg.listeners() {
		if err := l.check(); err != nil {
			return err
		}
	}
	return nil
}

func login(cfg Config) []nats.Option {
	if cfg.User == "" {
		return nil
	}
	return []nats.Option{nats.UserInfo(cfg.User, cfg.Password)}
}
