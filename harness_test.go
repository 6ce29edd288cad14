package damrey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const patience = time.Minute

// fabric is a broker in this process with an empty routing table.
type fabric struct {
	t   testing.TB
	srv *server.Server
	nc  *nats.Conn
	kv  jetstream.KeyValue
}

func newFabric(t testing.TB) *fabric {
	t.Helper()
	opts := &server.Options{
		ServerName: "broker", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(),
	}
	f := &fabric{t: t}
	f.start(opts)
	f.nc = f.connect()
	js, err := jetstream.New(f.nc)
	must(t, err)
	ctx := f.context()
	must(t, bucket.Ensure(ctx, js, damrey.DefaultPrefix))
	f.kv, err = js.KeyValue(ctx, bucket.Name(damrey.DefaultPrefix))
	must(t, err)
	return f
}

func (f *fabric) start(opts *server.Options) {
	f.t.Helper()
	srv, err := server.NewServer(opts)
	must(f.t, err)
	srv.Start()
	if !srv.ReadyForConnections(patience) {
		f.t.Fatal("the NATS server did not start")
	}
	f.srv = srv
	f.t.Cleanup(func() { f.srv.Shutdown(); f.srv.WaitForShutdown() })
}

// restart stops the broker and starts it again at the same address.
func (f *fabric) restart() {
	f.t.Helper()
	port := f.srv.Addr().(*net.TCPAddr).Port
	dir := f.srv.StoreDir()
	f.srv.Shutdown()
	f.srv.WaitForShutdown()
	f.start(&server.Options{
		ServerName: "broker", Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir,
	})
}

func (f *fabric) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.t.Cleanup(cancel)
	return ctx
}

// connect makes a stock connection.
func (f *fabric) connect(opts ...nats.Option) *nats.Conn {
	f.t.Helper()
	nc, err := nats.Connect(f.srv.ClientURL(), opts...)
	must(f.t, err)
	f.t.Cleanup(nc.Close)
	return nc
}

// register writes rows as the proxy would: worker, then type=target pairs.
func (f *fabric) register(name string, commands ...damrey.Command) {
	f.t.Helper()
	f.put(damrey.Registration{Name: name, Commands: commands})
}

func (f *fabric) put(reg damrey.Registration) {
	f.t.Helper()
	data, err := json.Marshal(reg)
	must(f.t, err)
	_, err = f.kv.Put(f.context(), reg.Name, data)
	must(f.t, err)
}

func to(typ, worker string) damrey.Command { return damrey.Command{Name: typ, Worker: worker} }

// instance makes an instance that is stopped at the end of the test.
func (f *fabric) instance(cfg damrey.Config, opts ...damrey.Option) *damrey.Instance {
	log := zerolog.New(zerolog.NewTestWriter(f.t)).Level(zerolog.WarnLevel)
	opts = append([]damrey.Option{damrey.WithConnect(damrey.ConnectConfig{URL: f.srv.ClientURL()})}, opts...)
	return damrey.New(cfg, log, opts...)
}

// serve runs w until the end of the test and waits until it is ready.
func (f *fabric) serve(w *damrey.Instance) *damrey.Instance {
	f.t.Helper()
	f.run(w)
	await(f.t, "ready", w.Ready())
	return w
}

func (f *fabric) run(w *damrey.Instance) {
	done := make(chan error, 1)
	go func() { done <- w.Serve(context.Background()) }()
	f.t.Cleanup(func() {
		w.Stop()
		if err := <-done; err != nil {
			f.t.Errorf("Serve: %v", err)
		}
	})
}

// worker serves a worker with one handler for every type.
func (f *fabric) worker(name string, h damrey.HandlerFunc, opts ...damrey.Option) *damrey.Instance {
	f.t.Helper()
	w := f.instance(damrey.Config{Name: name}, opts...)
	w.Handle("*", h)
	return f.serve(w)
}

func echo(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
	return damrey.Reply(in.Args()...), nil
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for: %s", patience, what)
		panic("unreachable")
	}
}

// eventually polls until ok, and fails the test when it never is.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("never came true within %v: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}
