package integration

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// collector takes spans as OpenTelemetry's does, and keeps what came.
type collector struct {
	mu  sync.Mutex // guards got
	got strings.Builder
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	data, err := io.ReadAll(body)
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "not a trace", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got.Write(data)
}

// hasSpansOf looks for the resource's attribute as it stands in protocol buffers: the key, then a value that is a string.
func (c *collector) hasSpansOf(service string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := byte(len(service))
	return strings.Contains(c.got.String(), "service.name\x12"+string([]byte{n + 2, '\n', n})+service)
}

// The proxy, the agent and `damrey worker run` give their spans to the collector that the environment names.
func TestOTLP_DaemonsGiveTheirSpans(t *testing.T) {
	c := &collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	told := "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL
	s := newSquare(t)
	if out, err := s.script("run", told, "OTEL_BSP_SCHEDULE_DELAY=200"); err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
	s.damrey("worker", "add", "shell")
	s.damrey("worker", "add", "caller", "--command", "square=shell")
	start(t, append(s.environment(), told, "OTEL_BSP_SCHEDULE_DELAY=200"), s.root, filepath.Join(s.state(), "bin", "damrey"),
		"worker", "run", "shell", "--", "sh", filepath.Join("examples", "anylanguage", "shell", "square.sh"))
	for _, port := range []string{natsPort, agentPort} {
		nc := s.connect(port)
		eventually(t, "the script answers at "+port, func() bool {
			m, err := nc.RequestMsg(&nats.Msg{
				Subject: "damrey.out.caller.square", Data: []byte(`["REQUEST","square","7"]`),
				Header: nats.Header{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
			}, patience)
			return err == nil && strings.Contains(string(m.Data), `"49"`)
		})
	}
	for _, name := range []string{"damrey-proxy", "damrey-agent", "shell"} {
		eventually(t, "the spans of "+name, func() bool { return c.hasSpansOf(name) })
	}
}
