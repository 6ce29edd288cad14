package proxyd_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/damrey/damrey/proxyd"
)

// Not parallel: it counts goroutines, and tests that are run before it have ended theirs.
func TestProxy_RunLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	srv := startNATS(t, t.TempDir(), -1)
	nc := connect(t, srv)

	proxy, err := proxyd.New(nc, proxyd.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Run(ctx) }()
	await(t, proxy.Ready())
	r := &rig{t: t, srv: srv, nc: nc, proxy: proxy}
	r.must(201, "POST", "/worker/add", seed)
	r.must(200, "GET", "/v1/workers", "")
	r.must(200, "PUT", "/v1/agents/a:1", `{"id":"a","host":"h","pid":1}`)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	if _, err := http.Get(proxy.URL() + "/healthz"); err == nil {
		t.Error("it still answers")
	}
	if nc.IsClosed() {
		t.Error("the caller's connection is closed")
	}
	nc.Close()
	stopNATS(srv)
	goleak.VerifyNone(t, before)
}

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	nc := connect(t, startNATS(t, t.TempDir(), -1))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	for name, c := range map[string]struct {
		cfg  proxyd.Config
		says []string
	}{
		"all interfaces": {proxyd.Config{Listen: ":0"}, []string{"without authentication", "--insecure"}},
		"wildcard":       {proxyd.Config{Listen: "0.0.0.0:8080"}, []string{"0.0.0.0:8080", "--insecure"}},
		"taken":          {proxyd.Config{Listen: taken.Addr().String()}, []string{"port " + port, "taken", "-p"}},
		"no port":        {proxyd.Config{Listen: "127.0.0.1"}, []string{`"127.0.0.1"`, "host:port"}},
		"port":           {proxyd.Config{Listen: "127.0.0.1:99999"}, []string{"99999"}},
		"prefix":         {proxyd.Config{Prefix: "a.b"}, []string{"prefix", "position 2"}},
		"lease":          {proxyd.Config{Lease: -1}, []string{"lease"}},
		"URL":            {proxyd.Config{NATSURLs: []string{"nats://a:b%zz@c"}}, []string{"nats://host:port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := proxyd.New(nc, c.cfg)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("says nothing of %q: %v", text, err)
				}
			}
		})
	}
}

func TestProxy_ListensEverywhereWhenInsecure(t *testing.T) {
	t.Parallel()
	nc := connect(t, startNATS(t, t.TempDir(), -1))
	proxy, err := proxyd.New(nc, proxyd.Config{Listen: ":0", Insecure: true, Advertise: "proxy.example"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(proxy.URL(), "http://proxy.example:") {
		t.Errorf("URL %s", proxy.URL())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := proxy.Run(ended); err != nil {
		t.Error(err)
	}
}

func TestProxy_RunSaysThatTheConnectionIsClosed(t *testing.T) {
	t.Parallel()
	nc := connect(t, startNATS(t, t.TempDir(), -1))
	proxy, err := proxyd.New(nc, proxyd.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if err := proxy.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "damrey-proxy") {
		t.Errorf("Run returned %v", err)
	}
}

func TestProxy_StopsWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	srv := startNATS(t, t.TempDir(), -1)
	nc := connect(t, srv)
	stopNATS(srv)
	eventually(t, "the connection is down", func() bool { return !nc.IsConnected() })
	proxy, err := proxyd.New(nc, proxyd.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Run(ctx) }()
	r := &rig{t: t, nc: nc, proxy: proxy}
	r.must(503, "GET", "/readyz", "")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	select {
	case <-proxy.Ready():
		t.Error("it says that it is ready")
	default:
	}
}
