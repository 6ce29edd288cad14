package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/damrey/damrey/internal/api"
)

// seen is a network as a proxy answers it.
func seen() (api.Network, api.InstanceList) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := api.Network{
		At: at, Since: at.Add(-time.Hour), Window: 15, Firing: 1,
		Nodes: []api.Node{
			{Name: "bank", Registered: true, Health: api.HealthFailing, Why: "no instance is there", Alarms: 1},
			{Name: "ghost", Health: api.HealthOK, Ready: 1, Instances: 1, Rate: 1},
			{Name: "order", Registered: true, Health: api.HealthOK, Ready: 2, Instances: 3, InFlight: 7, Rate: 12.5, Errors: 0.01, P99: 23},
			{Name: "shop", Registered: true, Health: api.HealthDegraded, Paused: true, Rate: 3},
		},
		Edges: []api.Edge{
			{From: "order", Type: "pay", To: "bank", Declared: true, Delivery: "durable", Health: api.HealthFailing, Why: "nobody takes them",
				Durable: &api.Backlog{Stored: 50, Pending: 42, OldestAge: 4.559}},
			{From: "shop", Type: "look", To: "ghost", Observed: true, Delivery: "direct", Health: api.HealthOK, Flow: api.Flow{Rate: 1, P99: 900}},
			{From: "shop", Type: "order", To: "order", Declared: true, Observed: true, Delivery: "direct", Health: api.HealthOK, Flow: api.Flow{Rate: 12.5, Errors: 0.01, P50: 1.5, P99: 23}},
		},
	}
	list := api.InstanceList{At: at, Since: n.Since, Instances: []api.Instance{
		{Worker: "order", ID: "abc", Host: "m1", PID: 7, Agent: "10.1.2.3:4222", State: "ready", Started: at.Add(-2 * time.Hour), Rate: 12.5, P99: 23, Skew: 0.01},
		{Worker: "order", ID: "def", Host: "m2", PID: 8, State: "lost", Started: at.Add(-3 * time.Minute), Skew: -2},
	}}
	return n, list
}

// serveSeen answers as a proxy with a view.
func serveSeen() *httptest.Server {
	n, list := seen()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/network", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(n) })
	mux.HandleFunc("GET /v1/instances", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(list) })
	return httptest.NewServer(mux)
}

// viewServer gives a script the address of a proxy with a view: viewserver VARIABLE
func viewServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: viewserver VARIABLE")
	}
	srv := serveSeen()
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
}

// eventServer sends two events, breaks off, and goes on after the last one that came.
type eventServer struct {
	*httptest.Server
	asked chan string // the Last-Event-ID of each connection
}

func serveEvents(t *testing.T, all []api.Event) *eventServer {
	t.Helper()
	s := &eventServer{asked: make(chan string, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last := r.Header.Get("Last-Event-ID")
		s.asked <- last + r.URL.Query().Get("last")
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ": here\n\nretry: 100\n\n")
		sent := 0
		for _, e := range all {
			if e.ID <= last {
				continue
			}
			data, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n: alive\n", e.ID, e.Kind, data)
			if sent++; sent == 2 {
				return
			}
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func happened() []api.Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []api.Event{
		{ID: "1", At: at, Kind: api.EventInstanceJoined, Worker: "bank", Instance: "abc", Text: "joined"},
		{ID: "2", At: at.Add(time.Second), Kind: api.EventInstanceLost, Worker: "bank", Instance: "abc", Text: "lost \x1b[2J"},
		{ID: "3", At: at.Add(2 * time.Second), Kind: api.EventAlarmFiring, Worker: "bank", Text: "no instance"},
		{ID: "4", At: at.Add(3 * time.Second), Kind: api.EventGap, Text: "some were forgotten"},
		{ID: "5", At: at.Add(4 * time.Second), Kind: api.EventUndelivered, Route: "shop→order→order", Text: "3 sends reached nobody"},
	}
}

func runEventsVerb(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = execute(append([]string{"events"}, args...), newTestApp(&out, &err, nil))
	return out.String(), err.String(), code
}

func TestEvents_GoOnAfterABreak(t *testing.T) {
	t.Parallel()
	s := serveEvents(t, happened())
	stdout, stderr, code := runEventsVerb(t, "--proxy", s.URL, "--count", "5")
	if code != exitOK || strings.Count(stdout, "\n") != 5 || strings.Contains(stdout, "\x1b") {
		t.Errorf("%d: %q %q", code, stdout, stderr)
	}
	for _, want := range []string{"instance.joined   bank abc  joined", "undelivered       shop→order→order  3 sends", "alarm.firing      bank  no instance"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in %s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "broke off") {
		t.Errorf("the break is not said: %s", stderr)
	}
	for _, want := range []string{"", "2", "4"} {
		if got := <-s.asked; got != want {
			t.Errorf("asked for what comes after %q, not after %q", got, want)
		}
	}
}

func TestEvents_SayWhatHappenedWhileTheyWereAway(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery
		fmt.Fprint(w, ": here\n\n")
		if r.URL.RawQuery == "" {
			return // before any event
		}
		for id, at := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(time.Second)} {
			fmt.Fprintf(w, "data: {\"id\":\"%d\",\"at\":%q,\"kind\":\"undelivered\"}\n\n", id, at.Format(time.RFC3339))
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	stdout, stderr, code := runEventsVerb(t, "--proxy", s.URL, "--count", "1", "-o", "json")
	if code != exitOK || !strings.Contains(stdout, `"id":"1"`) || strings.Contains(stdout, `"id":"0"`) {
		t.Errorf("%d: %q %q", code, stdout, stderr)
	}
	if first, second := <-asked, <-asked; first != "" || second != "last=2000" {
		t.Errorf("asked for %q, then %q", first, second)
	}
}

func TestEvents_AreChosen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flags, ids string }{
		{"--kind instance --count 3", "1 2 4"}, // a gap is always told
		{"--kind alarm.firing,undelivered --count 3", "3 4 5"},
		{"--since 2026-01-02T03:04:07Z --count 3", "3 4 5"},
	} {
		s := serveEvents(t, happened())
		stdout, stderr, code := runEventsVerb(t, append(strings.Fields(c.flags), "--proxy", s.URL, "-o", "json")...)
		var ids []string
		for line := range strings.Lines(stdout) {
			var e api.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, e.ID)
		}
		if first, past := <-s.asked, strings.Contains(c.flags, "--since"); (first == "2000") != past {
			t.Errorf("%s asks for %q of what was", c.flags, first)
		}
		if strings.Join(ids, " ") != c.ids || code != exitOK {
			t.Errorf("%s: %v, %d, %s", c.flags, ids, code, stderr)
		}
	}
}

func TestEvents_WrongPlaces(t *testing.T) {
	t.Parallel()
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"status":404,"detail":"there is no /v1/events here"}`)
	}))
	t.Cleanup(old.Close)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--proxy", old.URL}, exitFailed, "keeps no view"},
		{[]string{"--proxy", "127.0.0.1:1"}, exitFailed, "cannot reach the proxy"},
		{[]string{"--kind", "nonsense"}, exitUsage, `"nonsense" is no kind of event; there are instance.joined, `},
		{[]string{"--count", "-1"}, exitUsage, "--count -1"},
	} {
		if _, stderr, code := runEventsVerb(t, c.args...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: %d %s", c.args, code, stderr)
		}
	}
}

// Of several proxies the first that can be reached is followed.
func TestEvents_AreFollowedAtAnotherProxy(t *testing.T) {
	t.Parallel()
	s := serveEvents(t, happened())
	if stdout, stderr, code := runEventsVerb(t, "--proxy", "127.0.0.1:1,"+s.URL, "--count", "2"); code != exitOK || strings.Count(stdout, "\n") != 2 {
		t.Errorf("%d: %s %s", code, stdout, stderr)
	}
}
