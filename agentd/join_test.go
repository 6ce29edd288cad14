package agentd_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/agentd"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

// join joins until the end of the test.
func join(t *testing.T, cfg agentd.Config) *agentd.Membership {
	t.Helper()
	m, err := agentd.Join(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	return m
}

func TestJoin_ReadsTheFabricAndClaimsTheName(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	m := join(t, h.config("10.1.2.3:8080", t.TempDir()))
	if m.Name != "10.1.2.3:8080" || m.Fabric.Domain != "damrey" || m.Fabric.Prefix != "damrey" || len(m.Fabric.Leaf) != 1 {
		t.Errorf("%+v", m)
	}
	if m.LastTable() != nil {
		t.Error("a table out of nowhere")
	}
	list, err := h.client.Agents(t.Context())
	must(t, err)
	if len(list.Agents) != 1 || !list.Agents[0].Held || list.Agents[0].PID != os.Getpid() {
		t.Errorf("%+v", list)
	}
}

func TestJoin_RefusesASecondAgentOfTheName(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	join(t, h.config("one", t.TempDir()))
	_, err := agentd.Join(t.Context(), h.config("one", t.TempDir()))
	if !errors.Is(err, agentd.ErrNameHeld) {
		t.Errorf("got %v", err)
	}
	host, _ := os.Hostname()
	says(t, err, `"one"`, fmt.Sprintf("process %d", os.Getpid()), host, "since", "-a", "lease")
}

func TestJoin_TheSameAgentTakesOverAtOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := t.TempDir()
	m, err := agentd.Join(t.Context(), h.config("one", dir))
	must(t, err)
	// As after a kill: the directory is free, and the name is claimed.
	id, err := os.ReadFile(filepath.Join(dir, "id"))
	must(t, err)
	must(t, m.Close())
	_, err = h.client.ClaimAgent(t.Context(), "one", api.Claim{ID: strings.TrimSpace(string(id)), Host: "here", PID: 1})
	must(t, err)
	join(t, h.config("one", dir))
}

func TestJoin_GivesTheNameBackWhenClosed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	m, err := agentd.Join(t.Context(), h.config("one", t.TempDir()))
	must(t, err)
	must(t, m.Close())
	join(t, h.config("one", t.TempDir()))
}

func TestJoin_ANewcomerWaitsForTheProxyAndSaysSo(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.proxy.stop()
	log := &logs{}
	cfg := h.config("one", t.TempDir())
	cfg.Log = log.logger()
	joined := make(chan error, 1)
	go func() {
		m, err := agentd.Join(t.Context(), cfg)
		if err == nil {
			err = m.Close()
		}
		joined <- err
	}()
	eventually(t, "it says that it waits", func() bool { return log.count("cannot join the fabric yet") > 0 })
	if log.count("cannot reach the proxy at http://"+h.proxyAddr) != 1 {
		t.Errorf("does not say why: %s", log.text.String())
	}
	h.startProxy()
	must(t, <-joined)
}

func TestJoin_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer srv.Close()
	_, err := agentd.Join(ctx, agentd.Config{Name: "one", Proxy: srv.URL, Dir: t.TempDir()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestJoin_AFormerHolderGoesOnWithoutTheProxy(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := t.TempDir()
	m, err := agentd.Join(t.Context(), h.config("one", dir))
	must(t, err)
	fabric := m.Fabric
	must(t, m.Close())
	h.proxy.stop()

	log := &logs{}
	cfg := h.config("one", dir)
	cfg.Log = log.logger()
	again := join(t, cfg)
	if fmt.Sprint(again.Fabric) != fmt.Sprint(fabric) {
		t.Errorf("%+v is not %+v", again.Fabric, fabric)
	}
	if log.count("the proxy is away; going on") != 1 {
		t.Errorf("does not say so: %s", log.text.String())
	}
}

func TestJoin_AnAgentThatWasRefusedIsNoFormerHolder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := t.TempDir()
	m, err := agentd.Join(t.Context(), h.config("one", dir))
	must(t, err)
	must(t, m.Close())
	other := join(t, h.config("one", t.TempDir()))
	if _, err := agentd.Join(t.Context(), h.config("one", dir)); !errors.Is(err, agentd.ErrNameHeld) {
		t.Fatalf("got %v", err)
	}
	must(t, other.Close())
	waitsWithoutProxy(t, h, h.config("one", dir))
}

func TestJoin_AnotherNameIsNoFormerHolder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := t.TempDir()
	m, err := agentd.Join(t.Context(), h.config("one", dir))
	must(t, err)
	must(t, m.Close())
	waitsWithoutProxy(t, h, h.config("two", dir))
}

// waitsWithoutProxy stops the proxy and checks that an agent does not go on without it.
func waitsWithoutProxy(t *testing.T, h *hub, cfg agentd.Config) {
	t.Helper()
	h.proxy.stop()
	log := &logs{}
	cfg.Log = log.logger()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := agentd.Join(ctx, cfg)
		ended <- err
	}()
	eventually(t, "it waits", func() bool { return log.count("cannot join the fabric yet") > 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestJoin_SaysThatAClusterTakesNoAgents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cut     func(*proxyd.Config)
		missing string
	}{
		"no leaf listener": {func(c *proxyd.Config) { c.LeafURLs = nil }, "a leaf node listener;"},
		"no domain":        {func(c *proxyd.Config) { c.Domain = "" }, "a JetStream domain;"},
		"neither":          {func(c *proxyd.Config) { c.LeafURLs, c.Domain = nil, "" }, "a leaf node listener and a JetStream domain;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.proxy.stop()
			c.cut(&h.proxyCfg)
			h.startProxy()
			_, err := agentd.Join(t.Context(), h.config("one", t.TempDir()))
			if !errors.Is(err, agentd.ErrNoAgents) {
				t.Errorf("got %v", err)
			}
			says(t, err, c.missing, "NATS_URL="+h.proxyCfg.NATSURLs[0])
		})
	}
}

func TestJoin_SaysThatItIsNoProxy(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	_, err := agentd.Join(t.Context(), agentd.Config{Name: "one", Proxy: srv.URL, Dir: t.TempDir()})
	if !errors.Is(err, agentd.ErrRefused) {
		t.Errorf("got %v", err)
	}
	says(t, err, "404", "another program")
}

func TestJoin_RefusesAWrongConfig(t *testing.T) {
	t.Parallel()
	for text, cfg := range map[string]agentd.Config{
		"-a":                      {Proxy: "127.0.0.1:8080"},
		"--proxy":                 {Name: "one"},
		"at position 4":           {Name: "one two", Proxy: "127.0.0.1:8080"},
		"neither http nor https":  {Name: "one", Proxy: "nats://127.0.0.1:4222"},
		"-1 attempts":             {Name: "one", Proxy: "127.0.0.1:8080", Rc: -1},
		"Timeout is -1s":          {Name: "one", Proxy: "127.0.0.1:8080", Timeout: -time.Second},
		"Renew is -1s; use a pos": {Name: "one", Proxy: "127.0.0.1:8080", Renew: -time.Second},
	} {
		_, err := agentd.Join(t.Context(), cfg)
		if !errors.Is(err, agentd.ErrConfig) {
			t.Errorf("got %v", err)
		}
		says(t, err, text)
	}
}
