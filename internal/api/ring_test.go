package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/damrey/damrey"
)

// dead is the address of a proxy that is gone.
func dead(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL
}

// counting answers every request in one way and counts them.
func counting(t *testing.T, status int, body string) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("ETag", `"7"`)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestClient_MovesOnFromAProxyThatIsGone(t *testing.T) {
	t.Parallel()
	alive, asked := counting(t, http.StatusOK, "{}")
	c := client(t, dead(t)+", "+dead(t)+","+alive)
	for range 2 {
		if revision, err := c.Add(t.Context(), damrey.Registration{Name: "a"}); err != nil || revision != 7 {
			t.Fatal(revision, err)
		}
	}
	if c.URL() != alive || asked.Load() != 2 {
		t.Errorf("at %s after %d questions", c.URL(), asked.Load())
	}
	all := client(t, dead(t)+","+dead(t))
	_, err := all.Workers(t.Context())
	says(t, err, "cannot reach the proxy", "connection refused")
}

// What a proxy refuses for the moment may be read at another; a change might have been made.
func TestClient_RepeatsElsewhereOnlyWhatMayBeDoneTwice(t *testing.T) {
	t.Parallel()
	away, asked := counting(t, http.StatusServiceUnavailable, `{"status":503,"detail":"the broker is away"}`)
	alive, _ := counting(t, http.StatusOK, "{}")
	c := client(t, away+","+alive)
	_, err := c.Add(t.Context(), damrey.Registration{Name: "a"})
	says(t, err, "the broker is away")
	if _, err := c.Workers(t.Context()); err != nil || asked.Load() != 2 {
		t.Error(err, asked.Load())
	}
}

func TestClient_LearnsOfOtherProxies(t *testing.T) {
	t.Parallel()
	alive, _ := counting(t, http.StatusOK, "{}")
	c := client(t, dead(t))
	c.Learn([]string{"no such: proxy", alive, strings.TrimPrefix(alive, "http://")})
	if _, err := c.Workers(t.Context()); err != nil || c.URL() != alive {
		t.Error(c.URL(), err)
	}
}
