package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/broker"
)

// patience bounds every wait in these tests; none of them depends on how much of it is used.
const patience = 30 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// runner is a Broker or a Leaf.
type runner interface {
	Run(context.Context) error
	Ready() <-chan struct{}
	Connect(...nats.Option) (*nats.Conn, error)
}

// start runs r until stop, or until the test ends.
func start(t *testing.T, r runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		t.Helper()
		if cancel(); stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case <-r.Ready():
	case err := <-done:
		stopped = true
		t.Fatalf("Run: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return stop
}

func newBroker(t *testing.T, cfg broker.Config) *broker.Broker {
	t.Helper()
	if cfg.Port == 0 {
		cfg.Port = -1
	}
	if cfg.LeafPort == 0 {
		cfg.LeafPort = -1
	}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func startBroker(t *testing.T, cfg broker.Config) *broker.Broker {
	t.Helper()
	b := newBroker(t, cfg)
	start(t, b)
	return b
}

func newLeaf(t *testing.T, cfg broker.LeafConfig) *broker.Leaf {
	t.Helper()
	cfg.Port, cfg.Domain = -1, "damrey"
	l, err := broker.NewLeaf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// startLeaf returns a leaf that is linked to the broker.
func startLeaf(t *testing.T, name, remote string) *broker.Leaf {
	t.Helper()
	l := newLeaf(t, broker.LeafConfig{Name: name, Remotes: []string{remote}})
	start(t, l)
	eventually(t, name+" has its uplink", l.Uplink)
	return l
}

func connect(t *testing.T, r runner, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := r.Connect(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func jetStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func flush(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if err := nc.FlushWithContext(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// reach waits until what from publishes arrives at to: over a leaf, subscribed and flushed is not yet reachable.
func reach(t *testing.T, from, to *nats.Conn) {
	t.Helper()
	subject := nats.NewInbox()
	sub, err := to.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(nil) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	flush(t, to)
	eventually(t, "a probe comes back", func() bool {
		_, err := from.Request(subject, nil, 200*time.Millisecond)
		return err == nil
	})
}
