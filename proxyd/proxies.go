package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

// listTime bounds how long an answer waits for the addresses of the other proxies.
const listTime = time.Second

// addresses are where a proxy and its broker are, as they were configured.
type addresses struct {
	NATS    []string `json:"nats"`
	Leaf    []string `json:"leaf"`
	Proxies []string `json:"proxies"`
}

// and appends those of others that are not among them yet.
func (a addresses) and(others []addresses) addresses {
	for _, o := range others {
		a.NATS, a.Leaf, a.Proxies = union(a.NATS, o.NATS), union(a.Leaf, o.Leaf), union(a.Proxies, o.Proxies)
	}
	return a
}

// from is how one that knows this machine as host reaches them.
func (a addresses) from(host string) (addresses, error) {
	for _, urls := range []*[]string{&a.NATS, &a.Leaf, &a.Proxies} {
		var err error
		if *urls, err = reachable(*urls, host); err != nil {
			return addresses{}, err
		}
	}
	return a, nil
}

func union(a, b []string) []string {
	a = slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// proxies knows where the other proxies of a cluster are, also of those that are away now: they come back.
type proxies struct {
	store *store
	node  string // empty: there are no others

	mu   sync.Mutex // guards last
	last []addresses
}

func newProxies(s *store, node string) *proxies { return &proxies{store: s, node: node} }

// announce stores where this proxy is.
func (p *proxies) announce(ctx context.Context, own addresses) error {
	if p.node == "" {
		return nil
	}
	if err := bucket.EnsureProxies(ctx, p.store.js, p.store.prefix); err != nil {
		return err
	}
	value, err := json.Marshal(own)
	if err != nil {
		return err
	}
	return p.store.use(ctx, bucket.ProxiesName(p.store.prefix), func(ctx context.Context, kv jetstream.KeyValue) error {
		now, err := kv.Get(ctx, key(p.node))
		if err == nil && string(now.Value()) == string(value) {
			return nil
		}
		if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
			return err
		}
		_, err = kv.Put(ctx, key(p.node), value)
		return err
	})
}

// list is where the others are; while the broker cannot tell, where they were the last time.
func (p *proxies) list(ctx context.Context) []addresses {
	if p.node == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	records, err := p.store.records(ctx, bucket.ProxiesName(p.store.prefix))
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		return p.last
	}
	p.last = nil
	for _, r := range records {
		var a addresses
		if r.key != key(p.node) && json.Unmarshal(r.value, &a) == nil {
			p.last = append(p.last, a)
		}
	}
	return p.last
}
