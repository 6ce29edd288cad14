package broker

import (
	"context"
	"testing"
	"time"
)

// runningSync is what the nats-server of a broker was told.
func runningSync(t *testing.T, cfg Config) (interval time.Duration, always bool) {
	t.Helper()
	cfg.Port, cfg.LeafPort = -1, -1
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-b.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("not ready")
	}
	js := b.server().JetStreamConfig()
	return js.SyncInterval, js.SyncAlways
}

func TestBroker_GivesItsSyncToTheServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sync     time.Duration
		temp     bool
		interval time.Duration
		always   bool
	}{
		{sync: 0, interval: 100 * time.Millisecond},
		{sync: MinSync, interval: time.Millisecond},
		{sync: time.Hour, interval: time.Hour},
		{sync: SyncAlways, interval: 2 * time.Minute, always: true},
		{sync: 0, temp: true, interval: 2 * time.Minute},
		{sync: time.Second, temp: true, interval: time.Second},
		{sync: SyncAlways, temp: true, interval: 2 * time.Minute, always: true},
	} {
		cfg := Config{Sync: c.sync}
		if !c.temp {
			cfg.Dir = t.TempDir()
		}
		if interval, always := runningSync(t, cfg); interval != c.interval || always != c.always {
			t.Errorf("%+v: the server has %v, %v", c, interval, always)
		}
	}
}
