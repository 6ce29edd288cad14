package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const patience = 30 * time.Second

// site is an embedded broker with what a row opens on it.
type site struct {
	broker *broker.Broker
	kv     jetstream.KeyValue
	stored int             // how many messages lie in the first stream of a durable row
	opts   []damrey.Option // of the instances that are made
	undo   []func()
}

func newSite(stored int) (*site, error) {
	s := &site{stored: stored}
	cfg := broker.Config{Port: -1, LeafPort: -1}
	if stored > 0 { // more than fits where a broker without a directory stores
		dir, err := os.MkdirTemp("", "damrey-bench-")
		if err != nil {
			return nil, err
		}
		s.undo = append(s.undo, func() { _ = os.RemoveAll(dir) }) // at worst some of it stays
		cfg.Dir = dir
	}
	b, err := broker.New(cfg)
	if err != nil {
		s.close()
		return nil, err
	}
	s.broker = b
	if err := s.daemon(b.Run, b.Ready()); err != nil {
		s.close()
		return nil, err
	}
	nc, err := s.connect(b.ClientURL())
	if err == nil {
		err = s.openTable(nc)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) openTable(nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := bucket.Ensure(ctx, js, damrey.DefaultPrefix); err != nil {
		return err
	}
	s.kv, err = js.KeyValue(ctx, bucket.Name(damrey.DefaultPrefix))
	return err
}

// close undoes everything, the last first.
func (s *site) close() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
}

// daemon runs something until close and returns when it is ready.
func (s *site) daemon(run func(context.Context) error, ready <-chan struct{}) error {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	select {
	case <-ready:
		s.undo = append(s.undo, func() { cancel(); <-ended })
		return nil
	case err := <-ended:
		cancel()
		return fmt.Errorf("ended before it was ready: %w", err)
	case <-time.After(patience):
		cancel()
		return errors.New("not ready in time")
	}
}

// leaf starts the NATS part of an agent.
func (s *site) leaf(name string) (url string, err error) {
	l, err := broker.NewLeaf(broker.LeafConfig{
		Name: name, Port: -1, Remotes: []string{s.broker.LeafURL()}, Domain: s.broker.Domain(),
	})
	if err != nil {
		return "", err
	}
	if err := s.daemon(l.Run, l.Ready()); err != nil {
		return "", err
	}
	for end := time.Now().Add(patience); !l.Uplink(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return "", errors.New("the agent has no uplink")
		}
	}
	return l.ClientURL(), nil
}

// connect makes a stock connection.
func (s *site) connect(url string) (*nats.Conn, error) {
	nc, err := nats.Connect(url)
	if err == nil {
		s.undo = append(s.undo, nc.Close)
	}
	return nc, err
}

func (s *site) register(regs ...damrey.Registration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, reg := range regs {
		row, err := json.Marshal(reg)
		if err != nil {
			return err
		}
		if _, err := s.kv.Put(ctx, reg.Name, row); err != nil {
			return err
		}
	}
	return nil
}

// instance serves an instance of a registered worker. A nil handler leaves its
// messages to RecvChannel.
func (s *site) instance(url, name string, h damrey.HandlerFunc, opts ...damrey.Option) (*damrey.Instance, error) {
	all := append(slices.Concat(s.opts, opts), damrey.WithConnect(damrey.ConnectConfig{URL: url}), damrey.WithQueue(1<<20))
	w := damrey.New(damrey.Config{Name: name, Timeout: patience}, zerolog.Nop(), all...)
	if h != nil {
		w.Handle("*", h)
	}
	return w, s.daemon(w.Serve, w.Ready())
}

func command(typ, worker string) []damrey.Command {
	return []damrey.Command{{Name: typ, Worker: worker}}
}
