package proxyd_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

// startNATS runs a NATS server with JetStream in dir.
func startNATS(t *testing.T, dir string, port int, tweaks ...func(*server.Options)) *server.Server {
	t.Helper()
	options := &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir}
	for _, tweak := range tweaks {
		tweak(options)
	}
	srv, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { stopNATS(srv) })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return srv
}

func stopNATS(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

func connect(t *testing.T, srv *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// rig is a proxy that runs on a NATS server of its own.
type rig struct {
	t     *testing.T
	srv   *server.Server
	nc    *nats.Conn
	proxy *proxyd.Proxy
	stop  func() // may be called twice
}

func newRig(t *testing.T, cfg proxyd.Config) *rig {
	t.Helper()
	srv := startNATS(t, t.TempDir(), -1)
	r := startProxy(t, srv, cfg)
	await(t, r.proxy.Ready())
	return r
}

// startProxy runs one more proxy on a server, without waiting for it.
func startProxy(t *testing.T, srv *server.Server, cfg proxyd.Config) *rig {
	t.Helper()
	r := &rig{t: t, srv: srv, nc: connect(t, srv)}
	cfg.Listen = cmp.Or(cfg.Listen, "127.0.0.1:0")
	var err error
	if r.proxy, err = proxyd.New(r.nc, cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.proxy.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func await(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		t.Fatal("not ready in 20 s")
	}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// reply is an answer over HTTP, read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("not a problem: %v: %s", err, r.body)
	}
	return p
}

// do sends a request with headers such as "If-Match: *".
func (r *rig) do(method, path, body string, headers ...string) reply {
	r.t.Helper()
	req, err := http.NewRequest(method, r.proxy.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: string(data)}
}

// must is do with the status that is expected.
func (r *rig) must(status int, method, path, body string, headers ...string) reply {
	r.t.Helper()
	got := r.do(method, path, body, headers...)
	if got.status != status {
		r.t.Fatalf("%s %s: %d, not %d: %s", method, path, got.status, status, got.body)
	}
	return got
}

func (r *rig) client() *api.Client {
	r.t.Helper()
	c, err := api.New(r.proxy.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// bucket of the rig's fabric, reached beside the proxy.
func (r *rig) bucket(name string) jetstream.KeyValue {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	var kv jetstream.KeyValue
	eventually(r.t, "bucket "+name+" is made", func() bool {
		kv, err = js.KeyValue(r.t.Context(), name)
		return !errors.Is(err, jetstream.ErrBucketNotFound)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return kv
}

const seed = `{"mpu":"100","name":"entry","agent":"10.1.2.3:8080","commands":[{"name":"test","worker":"testWorker","mpu":"1"}]}`

// getAs asks as if the proxy had been reached by that host.
func (r *rig) getAs(host, path string) string {
	r.t.Helper()
	got := r.askAs(host, path)
	if got.status != http.StatusOK {
		r.t.Fatalf("%d: %s", got.status, got.body)
	}
	return got.body
}

func (r *rig) askAs(host, path string) reply {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.proxy.URL()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: string(data)}
}
