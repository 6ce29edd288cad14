package broker

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
)

// Leaf is a small NATS server for the clients of one machine, linked to the broker and useful without it. All methods
// may be called at any time from any goroutine.
type Leaf struct {
	*embedded
	cfg LeafConfig

	relink sync.Mutex // one SetRemotes at a time
}

// NewLeaf checks cfg and the machine, and starts nothing: an error tells which field or port stands in the way.
func NewLeaf(cfg LeafConfig) (*Leaf, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if _, err := cfg.options(); err != nil {
		return nil, err
	}
	if err := cfg.listener().check(); err != nil {
		return nil, err
	}
	return &Leaf{cfg: cfg, embedded: newEmbedded(cfg.Log)}, nil
}

// Run serves until ctx ends, which is no error, and returns when the server and its goroutines are gone. Ready does not
// wait for the broker; Uplink and Watch tell about it. Once only.
func (l *Leaf) Run(ctx context.Context) error {
	if err := l.claimRun(); err != nil {
		return err
	}
	if err := l.cfg.listener().check(); err != nil { // again: NewLeaf may have been a while ago
		return err
	}
	opts, err := l.cfg.options()
	if err != nil {
		return err
	}
	return l.serve(ctx, opts, func(*server.Server, *server.Options) {})
}

// SetRemotes makes other URLs those of the broker's leaf listener, as LeafConfig.Remotes has them. Local clients stay
// connected; the link to the broker is made anew.
func (l *Leaf) SetRemotes(remotes []string) error {
	l.relink.Lock()
	defer l.relink.Unlock()
	srv := l.server()
	if srv == nil {
		return fmt.Errorf("%w: change the broker's address after Ready and before Run returns", ErrNotRunning)
	}
	cfg := l.cfg
	cfg.Remotes = remotes
	opts, err := cfg.options()
	if err != nil {
		return err
	}
	if err := srv.ReloadOptions(opts); err != nil {
		return fmt.Errorf("broker: link to %d other addresses: %w", len(remotes), err)
	}
	return nil
}
