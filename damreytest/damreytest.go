// Package damreytest gives tests a whole fabric in their own process: a real
// NATS broker with JetStream in memory and the routing table, in a few
// milliseconds and without a fixed port.
//
//	func TestPrice(t *testing.T) {
//		f := damreytest.Start(t)
//		f.Register(damrey.Registration{Name: "price"})
//		w := damrey.New(damrey.Config{Name: "price"}, zerolog.Nop(), f.Option())
//		w.Handle("quote", quote)
//		f.Serve(w)
//		client := f.Client("test", damrey.Command{Name: "quote", Worker: "price"})
//		answer, err := client.Request(t.Context(), "quote", "EURUSD")
//		…
//	}
package damreytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// patience is the longest that anything here takes before it is an error.
const patience = 20 * time.Second

// Fabric is a running fabric. Its methods without an error report trouble to
// the test that [Start] was given, and panic for one made by [New].
type Fabric struct {
	t      testing.TB // nil for New
	broker *broker.Broker
	nc     *nats.Conn
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	stop   context.CancelFunc
	ended  chan error
	later  *later

	mu      sync.Mutex // guards what follows
	serving []*serving
	closed  bool
	jobs    map[string]bool // workers that durable routes lead to
	limits  map[string]bucket.Limits
}

type serving struct {
	w    *damrey.Instance
	done chan error
}

// Start gives a fabric that ends with the test, after the instances that it
// serves.
func Start(t testing.TB) *Fabric {
	t.Helper()
	f, err := New()
	if err != nil {
		t.Fatalf("damreytest: %v", err)
	}
	f.t = t
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("damreytest: %v", err)
		}
	})
	return f
}

// New gives a fabric to a program that is no test, such as an Example. The
// caller closes it.
func New() (*Fabric, error) {
	b, err := broker.New(broker.Config{Port: -1, LeafPort: -1})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Fabric{broker: b, stop: stop, ended: make(chan error, 1)}
	go func() { f.ended <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-f.ended:
		stop()
		return nil, err
	}
	if err := f.setUp(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Fabric) setUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	nc, err := f.broker.Connect()
	if err != nil {
		return err
	}
	f.nc = nc
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	f.js = js
	if err := bucket.Ensure(ctx, js, damrey.DefaultPrefix); err != nil {
		return err
	}
	if f.kv, err = js.KeyValue(ctx, bucket.Name(damrey.DefaultPrefix)); err != nil {
		return err
	}
	f.later, err = f.awaitLater()
	return err
}

// URL of the broker, for clients of any kind.
func (f *Fabric) URL() string { return f.broker.ClientURL() }

// Conn is a plain connection to the broker, to look at the traffic or to be a
// program without the library. It closes with the fabric.
func (f *Fabric) Conn() *nats.Conn { return f.nc }

// Option connects an instance to this fabric.
func (f *Fabric) Option() damrey.Option {
	return damrey.WithConnect(damrey.ConnectConfig{URL: f.URL()})
}

// Register adds workers to the routing table, or changes them, and returns when
// the broker has stored them.
func (f *Fabric) Register(regs ...damrey.Registration) {
	f.help()
	for _, reg := range regs {
		if err := f.register(reg); err != nil {
			f.fail("register %q: %v", reg.Name, err)
		}
	}
}

func (f *Fabric) register(reg damrey.Registration) error {
	if err := reg.Validate(); err != nil {
		return err
	}
	row, err := json.Marshal(reg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.ensureJobs(ctx, reg); err != nil {
		return err
	}
	_, err = f.kv.Put(ctx, reg.Name, row)
	return err
}

// Unregister takes a worker out of the routing table.
func (f *Fabric) Unregister(name string) {
	f.help()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.kv.Delete(ctx, name); err != nil {
		f.fail("unregister %q: %v", name, err)
	}
}

// Serve runs an instance until the end of the fabric and returns when messages
// can reach it, which needs its worker to be registered.
func (f *Fabric) Serve(w *damrey.Instance) {
	f.help()
	s := &serving{w: w, done: make(chan error, 1)}
	f.mu.Lock()
	f.serving = append(f.serving, s)
	f.mu.Unlock()
	go func() { s.done <- w.Serve(context.Background()) }()
	select {
	case <-w.Ready():
	case err := <-s.done:
		s.done <- err
		f.fail("serve: the instance ended before it was ready: %v", err)
	case <-time.After(patience):
		f.fail("serve: the instance is not ready after %v; is its worker registered?", patience)
	}
}

// Client registers a worker with these routes and serves an instance of it, to
// send and to ask with.
func (f *Fabric) Client(name string, commands ...damrey.Command) *damrey.Instance {
	f.help()
	f.Register(damrey.Registration{Name: name, Commands: commands})
	w := damrey.New(damrey.Config{Name: name}, zerolog.Nop(), f.Option())
	f.Serve(w)
	return w
}

// Close stops the instances, the last served first, and the broker.
func (f *Fabric) Close() error {
	f.mu.Lock()
	all, closed := f.serving, f.closed
	f.serving, f.closed = nil, true
	f.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		all[i].w.Stop()
		errs = append(errs, <-all[i].done)
	}
	if f.later != nil {
		errs = append(errs, f.later.close())
	}
	if f.nc != nil {
		f.nc.Close()
	}
	f.stop()
	return errors.Join(append(errs, <-f.ended)...)
}

func (f *Fabric) help() {
	if f.t != nil {
		f.t.Helper()
	}
}

func (f *Fabric) fail(format string, args ...any) {
	f.help()
	if f.t == nil {
		panic("damreytest: " + fmt.Sprintf(format, args...))
	}
	f.t.Fatalf("damreytest: "+format, args...)
}
