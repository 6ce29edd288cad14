package proxyd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

func TestProxy_TellsWhereTheFabricIs(t *testing.T) {
	t.Parallel()
	cfg := proxyd.Config{
		Prefix: "other", Domain: "damrey", Version: "1.2.3",
		NATSURLs: []string{"nats://user:secret@127.0.0.1:4222", "nats.example:4333"},
		LeafURLs: []string{"nats://0.0.0.0:7422", "nats://[::1]:7423"},
	}
	cases := map[string]struct {
		advertise, host string
		nats, leaf      []string
	}{
		"by the asker's host": {"", "proxy.example:99",
			[]string{"nats://proxy.example:4222", "nats://nats.example:4333"}, []string{"nats://proxy.example:7422", "nats://proxy.example:7423"}},
		"by the asker's IPv6": {"", "[fd00::1]:99",
			[]string{"nats://[fd00::1]:4222", "nats://nats.example:4333"}, []string{"nats://[fd00::1]:7422", "nats://[fd00::1]:7423"}},
		"by what is advertised": {"10.9.8.7", "localhost:99",
			[]string{"nats://10.9.8.7:4222", "nats://nats.example:4333"}, []string{"nats://10.9.8.7:7422", "nats://10.9.8.7:7423"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			cfg.Advertise = c.advertise
			if c.advertise == "" {
				cfg.Listen, cfg.Insecure = ":0", true // beyond this machine the proxy may have any name
			}
			r := newRig(t, cfg)
			var got api.Fabric
			if err := json.Unmarshal([]byte(r.getAs(c.host, "/v1/fabric")), &got); err != nil {
				t.Fatal(err)
			}
			if got.Prefix != "other" || got.Domain != "damrey" || got.Version != "1.2.3" || got.MaxPayload != 1<<20 {
				t.Errorf("%+v", got)
			}
			if !slices.Equal(got.NATS, c.nats) || !slices.Equal(got.Leaf, c.leaf) {
				t.Errorf("nats %v, leaf %v", got.NATS, got.Leaf)
			}
		})
	}
}

func TestProxy_DescribesAllItsPaths(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct{ Required []string }
		}
	}
	if err := json.Unmarshal([]byte(r.must(200, "GET", "/openapi.json", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	if required := doc.Components.Schemas["Point"].Required; !slices.Contains(required, "rate") || slices.Contains(required, "wait_ms") {
		t.Errorf("a point has always %v, though one of a minute has no mean of waiting", required)
	}
	for _, path := range []string{"/worker/add", "/worker/chg", "/worker/del"} {
		if text := fmt.Sprint(doc.Paths[path]["post"]); !strings.Contains(text, "in:header name:If-Match") {
			t.Errorf("%s is described without If-Match: %s", path, text)
		}
	}
	for path, methods := range map[string][]string{
		"/worker/add": {"post"}, "/worker/del": {"post"}, "/worker/chg": {"post"}, "/workers/get": {"get"},
		"/v1/workers": {"get"}, "/v1/workers/{name}": {"get", "put", "delete"}, "/v1/workers/{name}/history": {"get"}, "/v1/fabric": {"get"},
		"/v1/agents": {"get"}, "/v1/agents/{name}": {"put", "delete"}, "/healthz": {"get"}, "/readyz": {"get"}, "/metrics": {"get"},
		"/v1/dead": {"get"}, "/v1/dead/{sequence}": {"get", "patch", "delete"}, "/v1/dead/{sequence}/retry": {"post"},
		"/v1/schedules": {"get", "post"}, "/v1/schedules/{id}": {"delete"}, "/v1/traces": {"get"}, "/v1/traces/{id}": {"get"},
		"/v1/network": {"get"}, "/v1/instances": {"get"}, "/v1/stats": {"get"}, "/v1/listeners": {"get"},
		"/v1/events": {"get"}, "/v1/live": {"get"}, "/v1/tap": {"get"},
	} {
		for _, m := range methods {
			if doc.Paths[path][m] == nil {
				t.Errorf("%s %s is not described", m, path)
			}
		}
	}
}
