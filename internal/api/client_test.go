package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func client(t *testing.T, proxy string) *api.Client {
	t.Helper()
	c, err := api.New(proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// says fails the test when err lacks one of the texts.
func says(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("says nothing of %q: %v", text, err)
		}
	}
}

func TestNew_TakesAddressesAndURLs(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"127.0.0.1:8080":              "http://127.0.0.1:8080",
		"[::1]:8080":                  "http://[::1]:8080",
		"127.0.0.1":                   "http://127.0.0.1:8080",
		"::1":                         "http://[::1]:8080",
		"[::1]":                       "http://[::1]:8080",
		"proxy":                       "http://proxy:8080",
		"http://proxy":                "http://proxy",
		"http://proxy:8080/":          "http://proxy:8080",
		"https://me:secret@proxy/sub": "https://me:xxxxx@proxy/sub",
	} {
		if got := client(t, given).URL(); got != want {
			t.Errorf("%s became %s", given, got)
		}
	}
	for given, text := range map[string]string{
		"": "no host", "nats://127.0.0.1:4222": "neither http nor https", "http://": "no host", "127.0.0.1:port": "invalid port",
		"127.0.0.1:99999": "port 99999 is out of range", "http://127.0.0.1:0": "port 0 is out of range",
	} {
		_, err := api.New(given)
		says(t, err, text, "127.0.0.1:8080")
	}
}

func TestClient_SaysThatNobodyListens(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	_, err = client(t, ln.Addr().String()).Workers(t.Context())
	want := fmt.Sprintf("cannot reach the proxy at http://%s: connection refused; is `damrey proxy` running? name another with --proxy or DAMREY_PROXY", ln.Addr())
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestClient_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer srv.Close()
	_, err := client(t, srv.URL).Fabric(ctx)
	says(t, err, "did not answer", srv.URL)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not the context's error", err)
	}
}

func TestClient_SaysThatItIsNoProxy(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "<html>")
	}))
	defer srv.Close()
	c := client(t, srv.URL)

	_, err := c.Add(t.Context(), damrey.Registration{Name: "a"})
	says(t, err, "404 Not Found", "another program")
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Status != 404 {
		t.Errorf("%T", err)
	}
	_, err = c.Workers(t.Context())
	says(t, err, "unexpected", "is it a Damrey proxy")
	_, err = c.Put(t.Context(), damrey.Registration{Name: "a"}, "")
	says(t, err, "ETag")
}

// NATS greets whoever connects.
func TestClient_SaysThatItIsNATS(t *testing.T) {
	t.Parallel()
	for greeting, want := range map[string]string{
		"INFO {\"server_id\":\"NABC\",\"version\":\"2.12.0\"} \r\n": "is a port of NATS, not of a proxy",
		"SSH-2.0-OpenSSH_9.2\r\n":                                   "does not speak HTTP",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, greeting)
				_, _ = conn.Read(make([]byte, 1)) // what is asked is not answered
				_ = conn.Close()
			}
		}()
		for _, scheme := range []string{"", "https://"} {
			_, err = client(t, scheme+listener.Addr().String()).Fabric(t.Context())
			says(t, err, want, listener.Addr().String(), "--proxy")
			if strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "server_id") {
				t.Errorf("%v", err)
			}
		}
		_ = listener.Close()
		<-done
	}
}

func TestClient_ReadsProblems(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"title":"T","status":422,"detail":"validation failed","errors":[{"location":"body.id","message":"too long","value":7}]}`)
	}))
	defer srv.Close()
	_, err := client(t, srv.URL+"/under").Put(t.Context(), damrey.Registration{Name: "a/b c"}, api.Match(7))
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Status != 422 || e.Problem.Title != "T" || e.Problem.Errors[0].Location != "body.id" {
		t.Fatalf("%#v", err)
	}
	if e.Error() != "validation failed; body.id: too long" {
		t.Errorf("%s", e)
	}
	asked := <-requests
	if asked.URL.EscapedPath() != "/under/v1/workers/a%2Fb%20c" || asked.Header.Get("If-Match") != `"7"` {
		t.Errorf("asked %s with If-Match %s", asked.URL.EscapedPath(), asked.Header.Get("If-Match"))
	}
}
