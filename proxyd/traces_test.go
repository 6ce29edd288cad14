package proxyd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/proxyd"
)

// What instances publish of a traced line, and of one that fails, is listed and given whole.
func TestTraces_AreKeptAndListed(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	client, err := api.New(r.proxy.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, reg := range []damrey.Registration{
		{Name: "entry", Commands: []damrey.Command{{Name: "add", Worker: "add"}, {Name: "bad", Worker: "add"}}}, {Name: "add"},
	} {
		if _, err := client.Add(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(name string, handle damrey.HandlerFunc, opts ...damrey.Option) *damrey.Instance {
		w := damrey.New(damrey.Config{Name: name}, zerolog.Nop(), append(opts, damrey.WithConnect(damrey.ConnectConfig{URL: r.srv.ClientURL()}))...)
		w.Handle("*", handle)
		done := make(chan error, 1)
		go func() { done <- w.Serve(t.Context()) }()
		t.Cleanup(func() {
			w.Stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		await(t, w.Ready())
		return w
	}
	serve("add", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Type() == "bad" {
			return damrey.Fail("it is <b>bad</b>"), nil
		}
		return damrey.Reply("1"), nil
	})
	entry := serve("entry", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, nil }, damrey.WithTraceSampling(1))
	if _, err := entry.Request(t.Context(), "add"); err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Request(t.Context(), "bad"); err == nil {
		t.Fatal("no error")
	}
	var list api.TraceList
	eventually(t, "both traces are whole", func() bool {
		if list, err = client.Traces(t.Context(), api.TraceFilter{}); err != nil {
			t.Fatal(err)
		}
		return len(list.Traces) == 2 && list.Traces[0].Spans == 3 && list.Traces[1].Spans == 3
	})
	if bad := list.Traces[0]; bad.Route != "entry→bad→add" || bad.Outcome != "error" || bad.Kept != "sampled" || !list.LookedSince.IsZero() {
		t.Errorf("%+v", list)
	}
	for _, c := range []struct {
		filter api.TraceFilter
		want   int
	}{
		{api.TraceFilter{Route: "entry→bad→add"}, 1}, {api.TraceFilter{Route: "*→*→add"}, 2}, {api.TraceFilter{Route: "add"}, 2},
		{api.TraceFilter{Route: "other"}, 0}, {api.TraceFilter{Outcome: "ok"}, 1}, {api.TraceFilter{Outcome: "stop"}, 0},
		{api.TraceFilter{Since: time.Now().Add(time.Minute)}, 0}, {api.TraceFilter{Limit: 1}, 1},
	} {
		got, err := client.Traces(t.Context(), c.filter)
		if err != nil || len(got.Traces) != c.want {
			t.Errorf("%+v gives %d traces, not %d (%v)", c.filter, len(got.Traces), c.want, err)
		}
	}
	trace, err := client.Trace(t.Context(), list.Traces[0].ID)
	if err != nil || len(trace.Path) != 3 || trace.Path[2].Error != "it is <b>bad</b>" {
		t.Errorf("%+v %v", trace, err)
	}
	if err == nil && (trace.Path[0].Own <= 0 || trace.Path[0].Own >= trace.Path[0].Duration || trace.Slowest == "") {
		t.Errorf("%+v", trace)
	}
}

// A handler tells at its end: as long as spans come and that is missing, the trace is running.
func TestTraces_RunUntilTheirHandlersTell(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	client, err := api.New(r.proxy.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const id = "0af7651916cd43dd8448eb211c80319c"
	tell := func(own, kind string) {
		data, err := report.FormatSpan(api.Span{
			ID: own, Parent: "left", Kind: kind, From: "entry", Type: "add", To: "add", Begin: time.Now(), Duration: 1, Outcome: report.OK, Kept: report.Sampled,
		})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, r.nc, report.TraceSubject("damrey", id), string(data))
	}
	state := func() (head api.TraceHead, whole api.Trace) {
		list, err := client.Traces(t.Context(), api.TraceFilter{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Traces) == 0 {
			return head, whole
		}
		if whole, err = client.Trace(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return list.Traces[0], whole
	}
	n := 0
	eventually(t, "it is running", func() bool {
		n++
		tell(fmt.Sprintf("wait%d", n), report.KindWait)
		head, whole := state()
		return head.Running && whole.Running && whole.Slowest == "" && len(whole.Unfinished) == 1
	})
	for i := range n {
		tell(fmt.Sprintf("handle%d", i), report.KindHandle)
	}
	eventually(t, "it is over", func() bool {
		head, whole := state()
		return head.Spans == 2*n && !head.Running && !whole.Running && whole.Slowest != "" && len(whole.Unfinished) == 0
	})
}

func TestTraces_BadInput(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	forged := []string{"", "x", "{}", `{"id":"a"}`, `{"id":"a","begin":"2026-01-02T03:04:05Z","duration_ms":-1}`, strings.Repeat("[", 100000)}
	for _, data := range forged {
		publish(t, r.nc, "damrey.trace.0af7651916cd43dd8448eb211c80319c", data)
		publish(t, r.nc, "damrey.trace.no-id", `{"id":"a","begin":"2026-01-02T03:04:05Z"}`)
	}
	for path, want := range map[string]int{
		"/v1/traces":                                  http.StatusOK,
		"/v1/traces?route=a→b":                        http.StatusUnprocessableEntity,
		"/v1/traces?route=%3Cb%3E":                    http.StatusUnprocessableEntity,
		"/v1/traces?outcome=good":                     http.StatusUnprocessableEntity,
		"/v1/traces?since=yesterday":                  http.StatusUnprocessableEntity,
		"/v1/traces?limit=0":                          http.StatusUnprocessableEntity,
		"/v1/traces/x":                                http.StatusUnprocessableEntity,
		"/v1/traces/" + strings.Repeat("0", 32):       http.StatusNotFound,
		"/v1/traces/0af7651916cd43dd8448eb211c80319c": http.StatusNotFound, // nothing of it can be read
	} {
		if got := r.do("GET", path, ""); got.status != want {
			t.Errorf("%s: %d %s, not %d", path, got.status, got.body, want)
		}
	}
	span, err := json.Marshal(report.Span{ID: "a", Begin: time.Now(), Kind: "odd", Parent: "a", Outcome: "?"})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, r.nc, "damrey.trace.0af7651916cd43dd8448eb211c80319c", string(span))
	eventually(t, "the odd one is given", func() bool {
		return r.do("GET", "/v1/traces/0af7651916cd43dd8448eb211c80319c", "").status == http.StatusOK
	})
}

func publish(t *testing.T, nc *nats.Conn, subject, data string) {
	t.Helper()
	if err := nc.Publish(subject, []byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}
