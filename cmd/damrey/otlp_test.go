package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A collector gets the spans by the time that the daemon has ended.
func TestOTLP_SpansReachTheCollector(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := ""
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
				return
			}
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got += r.URL.Path + " " + string(data) // names stand as they are in protocol buffers
	}))
	defer collector.Close()
	for _, o := range []otlp{
		{url: collector.URL},
		{lookup: func(name string) (string, bool) { return "", false }},
	} {
		g := newGroup(t.Context())
		spans, err := o.start(g, "some-worker", zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if o.url == "" {
			if spans != nil {
				t.Error("spans are taken that nobody wants")
			}
			continue
		}
		_, span := spans.Tracer("test").Start(t.Context(), "handle add")
		span.End()
		if err := g.finish(errEnds); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		if !strings.Contains(got, "/v1/traces ") || !strings.Contains(got, "some-worker") || !strings.Contains(got, "handle add") {
			t.Errorf("the collector got %q", got)
		}
		mu.Unlock()
	}
}

func TestOTLP_RefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"localhost:4318", "ftp://x", "http://", "://"} {
		o := otlp{url: bad}
		if err := o.check(); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:4318") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	told := &toldOnce{log: zerolog.Nop()}
	told.tell(io.EOF)
	if told.until.Before(time.Now()) {
		t.Error("it is told again at once")
	}
}
