package proxyd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/proxyd"
)

// line is one server-sent event.
type line struct{ id, event, data string }

// stream reads server-sent events until the test ends.
func (r *rig) stream(path string, headers ...string) <-chan line {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.proxy.URL()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%s: %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
	}
	lines := make(chan line, 30_000)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		in.Buffer(nil, 4<<20)
		var l line
		for in.Scan() {
			name, value, _ := strings.Cut(in.Text(), ": ")
			switch name {
			case "id":
				l.id = value
			case "event":
				l.event = value
			case "data":
				l.data = value
				lines <- l
				l = line{}
			}
		}
	}()
	return lines
}

func next(t *testing.T, lines <-chan line) line {
	t.Helper()
	select {
	case l, ok := <-lines:
		if !ok {
			t.Fatal("the stream ended")
		}
		return l
	case <-time.After(20 * time.Second):
		t.Fatal("no event in 20 s")
	}
	return line{}
}

// nextOf skips events of other kinds.
func nextOf(t *testing.T, lines <-chan line, kind api.EventKind) (line, api.Event) {
	t.Helper()
	for {
		l := next(t, lines)
		if l.event != string(kind) {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(l.data), &e); err != nil || e.ID != l.id || e.Kind != kind || e.Text == "" {
			t.Fatalf("%+v: %v", l, err)
		}
		return l, e
	}
}

func TestEvents_TellAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	lines := r.stream("/v1/events")
	r.must(201, "PUT", "/v1/workers/entry", `{"name":"entry","commands":[{"name":"add","worker":"add"}]}`)
	if _, e := nextOf(t, lines, api.EventTableChanged); e.Worker != "entry" {
		t.Errorf("%+v", e)
	}
	r.beater("add", "A1").send()
	joined, e := nextOf(t, lines, api.EventInstanceJoined)
	if e.Worker != "add" || e.Instance != "A1" {
		t.Errorf("%+v", e)
	}
	undelivered, err := json.Marshal(damrey.Undelivered{Route: "entry→add→add", Count: 3, Why: "nobody is there", At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.nc.Publish("damrey.event.undelivered.add.add.entry", undelivered); err != nil {
		t.Fatal(err)
	}
	if _, e := nextOf(t, lines, api.EventUndelivered); e.Route != "entry→add→add" || !strings.Contains(e.Text, "3 messages") {
		t.Errorf("%+v", e)
	}
	resumed := r.stream("/v1/events", "Last-Event-ID: "+joined.id)
	if l := next(t, resumed); l.event != string(api.EventUndelivered) {
		t.Errorf("resumed with %+v", l)
	}
	for _, id := range []string{"nonsense", "0-1", joined.id + "99"} {
		unknown := r.stream("/v1/events?after=" + id)
		nextOf(t, unknown, api.EventGap)
		nextOf(t, unknown, api.EventTableChanged)
	}
	// The alarm of it may have been told meanwhile.
	if l := next(t, r.stream("/v1/events?last=1")); l.event != string(api.EventUndelivered) && l.event != string(api.EventAlarmFiring) {
		t.Errorf("the last one is %+v", l)
	}
}

func TestEvents_RefusedBeatsAreToldOnceAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	lines := r.stream("/v1/events")
	for subject, data := range map[string]string{
		"damrey.beat.add.A1": `{"worker":"sub","instance":"A1","state":"ready"}`,
		"damrey.beat.add.A2": `{`,
		"damrey.beat.add.A3": `{"worker":"add","instance":"A3","state":"ready","pid":-1}`,
		"damrey.beat.add.A4": `{"worker":"add","instance":"A4","state":"ready","in":[{"from":"<b>","type":"add"}]}`,
	} {
		if err := r.nc.Publish(subject, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	nextOf(t, lines, api.EventBeatRefused)
	eventually(t, "all are counted", func() bool {
		return strings.Contains(r.must(200, "GET", "/metrics", "").body, "damrey_beats_refused_total 4\n")
	})
	r.beater("add", "B").send()
	if l := next(t, lines); l.event != string(api.EventInstanceJoined) {
		t.Errorf("told again: %+v", l)
	}
	if list, err := r.client().Instances(t.Context()); err != nil || len(list.Instances) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestEvents_AThousandLeaveAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	lines := r.stream("/v1/events")
	const n = 1000
	beaters := make([]*beater, n)
	for i := range n {
		beaters[i] = r.beater("add", fmt.Sprintf("A%d", i))
		beaters[i].send()
	}
	for range n {
		nextOf(t, lines, api.EventInstanceJoined)
	}
	for _, b := range beaters {
		b.beat.State = report.Left
		b.send()
	}
	left := make(map[string]bool)
	for range n {
		_, e := nextOf(t, lines, api.EventInstanceLeft)
		left[e.Instance] = true
	}
	if len(left) != n {
		t.Errorf("%d of %d instances left", len(left), n)
	}
}

func TestLive_SendsTheNetworkAndEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	lines := r.stream("/v1/live")
	if l := next(t, lines); l.event != "network" {
		t.Fatalf("first comes %+v", l)
	}
	r.beater("add", "A1").send()
	event, network := false, false
	for !event || !network {
		l := next(t, lines)
		switch l.event {
		case "event":
			event = event || strings.Contains(l.data, `"instance.joined"`)
		case "network":
			var n api.Network
			if err := json.Unmarshal([]byte(l.data), &n); err != nil {
				t.Fatal(err)
			}
			network = network || nodeOf(n, "add").Instances == 1
		}
	}
}

// A client that never reads holds nobody up, and not the end of the proxy either.
func TestLive_AClientThatNeverReads(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.proxy.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := r.stream("/v1/events")
	b := r.beater("add", "A1")
	for i := range 20_000 { // far more than fits between the two
		b.beat.State = []report.State{report.Ready, report.Draining}[i%2]
		b.send()
	}
	r.beater("sub", "last").send()
	for _, e := nextOf(t, lines, api.EventInstanceJoined); e.Instance != "last"; {
		_, e = nextOf(t, lines, api.EventInstanceJoined)
	}
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the proxy took %v to end", took)
	}
}

func TestTap_RelaysCopies(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	leases := make(chan report.Lease, 10)
	if _, err := r.nc.Subscribe("damrey.tap", func(m *nats.Msg) {
		var l report.Lease
		if json.Unmarshal(m.Data, &l) == nil {
			leases <- l
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := r.stream("/v1/tap?from=entry&to=*&rate=5&args=true")
	lease := <-leases
	if lease.From != "entry" || lease.Type != "" || lease.To != "" || lease.Rate != 5 || !lease.Args || lease.Inbox == "" {
		t.Fatalf("%+v", lease)
	}
	for i := range 200 {
		data, err := json.Marshal(report.Copy{From: "entry", Type: "add", To: "add", Args: []string{fmt.Sprint(i)}, Outcome: "response"})
		if err == nil {
			err = r.nc.Publish(lease.Inbox, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var c api.TapCopy
	seen, skipped := 0, uint64(0)
	for seen < 6 {
		if err := json.Unmarshal([]byte(next(t, lines).data), &c); err != nil {
			t.Fatal(err)
		}
		seen++
		skipped += c.Skipped
		if seen == 5 { // the second is used up; the next copy tells of those that were left out
			time.AfterFunc(1100*time.Millisecond, func() {
				_ = r.nc.Publish(lease.Inbox, []byte(`{"from":"entry","type":"add","to":"add","args":["last"],"outcome":"none"}`))
			})
		}
	}
	if skipped == 0 {
		t.Error("nothing was said of what was left out")
	}
	if again := <-leases; again.ID != lease.ID {
		t.Errorf("the lease is not held: %+v", again)
	}
	r.must(422, "GET", "/v1/tap?type=a.b", "")
}

func TestClientEvents_ResumesAfterTheProxyWasAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan api.Event, 100)
	done := make(chan error, 1)
	client := r.client()
	go func() {
		done <- client.Events(ctx, api.EventsFrom{Last: 10}, func(e api.Event) error { got <- e; return nil })
	}()
	r.beater("add", "A1").send()
	if e := <-got; e.Kind != api.EventInstanceJoined {
		t.Fatalf("%+v", e)
	}
	address := strings.TrimPrefix(r.proxy.URL(), "http://")
	r.stop()
	second := startProxy(t, r.srv, proxyd.Config{Listen: address})
	await(t, second.proxy.Ready())
	if e := <-got; e.Kind != api.EventGap {
		t.Fatalf("%+v", e)
	}
	second.beater("add", "A2").send()
	if e := <-got; e.Kind != api.EventInstanceJoined || e.Instance != "A2" {
		t.Fatalf("%+v", e)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
