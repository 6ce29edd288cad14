//go:build linux

package faults

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/agentd"
	"github.com/damrey/damrey/broker"
)

// crowd is many agents in this process, each with its leaf server.
type crowd struct {
	s      *site
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu     sync.Mutex // guards agents and errors
	agents []*agentd.Agent
	errors []error
}

// crowd starts n agents that join by a proxy and ends them with the test.
func (s *site) crowd(n int, rest string) *crowd {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{s: s, cancel: cancel}
	s.t.Cleanup(c.end)
	dir := s.t.TempDir()
	for i := range n {
		name := fmt.Sprintf("crowd-%d", i)
		c.group.Go(func() {
			if err := c.run(ctx, agentd.Config{Name: name, Proxy: rest, Dir: filepath.Join(dir, name)}); err != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.errors = append(c.errors, fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	c.fresh(n)
	return c
}

func (c *crowd) run(ctx context.Context, cfg agentd.Config) error {
	m, err := agentd.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer m.Close()
	leaf, err := broker.NewLeaf(broker.LeafConfig{
		Name: m.Name, Port: -1, Remotes: m.Fabric.Leaf, Domain: m.Fabric.Domain, Prefix: m.Fabric.Prefix,
		MaxPayload: int32(m.Fabric.MaxPayload),
	})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- leaf.Run(serving) }()
	defer func() { stop(); <-ended }()
	select {
	case <-leaf.Ready():
	case err := <-ended:
		ended <- nil
		return err
	}
	nc, err := leaf.Connect(nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	cfg.Uplink = leaf.Watch
	a := agentd.New(nc, m, cfg)
	c.mu.Lock()
	c.agents = append(c.agents, a)
	c.mu.Unlock()
	return a.Run(ctx)
}

// end stops all of them.
func (c *crowd) end() {
	c.cancel()
	c.group.Wait()
	for _, err := range c.errors {
		c.s.t.Error(err)
	}
	c.agents = nil // the test holds on to c, and they to their servers
}

// fresh waits until n agents follow the table.
func (c *crowd) fresh(n int) time.Duration {
	c.s.t.Helper()
	began := time.Now()
	fresh := 0
	defer func() {
		c.s.t.Logf("%d of %d agents follow the table after %v", fresh, n, time.Since(began).Round(time.Millisecond))
	}()
	eventually(c.s.t, "the agents follow the table", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		fresh = 0
		for _, a := range c.agents {
			if !a.Stale() {
				fresh++
			}
		}
		return fresh == n
	})
	return time.Since(began)
}

// consumers counts who watches the bucket.
func (s *site) consumers(js jetstream.JetStream) int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := js.Stream(ctx, "KV_damrey_workers")
	must(s.t, err)
	info, err := stream.Info(ctx)
	must(s.t, err)
	return info.State.Consumers
}

// Two hundred agents lose their links at one moment, and then the broker: all
// come back, no consumers stay behind, and requests go on.
func faultTwoHundredAgents(t *testing.T) {
	const n = 200
	s := newSite(t)
	link := newRelay(t, local(s.leaf))
	_, rest := s.front(link.Addr())
	one := s.agent("one")
	s.line(one.url())
	js := s.js()
	c := s.crowd(n, rest)
	entry := s.entry(one.url())
	l := s.load(entry, loadConfig{})
	u := s.usage()
	watching := s.consumers(js)
	t.Logf("%d consumers", watching)

	link.Reset()
	l.recovers("200 links lost")
	l.times = append(l.times, fmt.Sprintf("200 agents fresh %v", c.fresh(n).Round(time.Millisecond)))
	var now int
	eventually(t, "no consumers stay behind", func() bool { now = s.consumers(js); return now <= watching })
	t.Logf("%d consumers", now)

	s.hub.kill()
	l.restarts("kill -9 of the broker of 200 agents", s.hub)
	l.times = append(l.times, fmt.Sprintf("200 agents fresh %v", c.fresh(n).Round(time.Millisecond)))
	s.changesAreSeen(entry, "after 200 agents came back")
	eventually(t, "no consumers stay behind", func() bool { now = s.consumers(js); return now <= watching })
	t.Logf("%d consumers", now)
	l.stop()
	u.returns()
	if l.ledger.count(damrey.RESPONSE) == 0 {
		t.Error("nothing was answered")
	}
}
