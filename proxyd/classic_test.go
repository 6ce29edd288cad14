package proxyd_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"

	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/view"
	"github.com/damrey/damrey/proxyd"
)

const form = "Content-Type: application/x-www-form-urlencoded"

func TestProxy_ServesTheOriginalRoutes(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})

	added := r.must(201, "POST", "/worker/add", seed, form)
	if strings.TrimSpace(added.body) != seed || added.header.Get("ETag") != `"1"` {
		t.Errorf("add answered %s with ETag %s", added.body, added.header.Get("ETag"))
	}
	if p := r.must(409, "POST", "/worker/add", seed, form).problem(t); !strings.Contains(p.Detail, "revision 1") {
		t.Errorf("a second add: %s", p.Detail)
	}
	changed := strings.Replace(seed, "testWorker", "other", 1)
	if got := r.must(200, "POST", "/worker/chg", changed, form); got.header.Get("ETag") != `"2"` {
		t.Errorf("chg answered ETag %s", got.header.Get("ETag"))
	}
	if got := r.must(200, "GET", "/workers/get", ""); strings.TrimSpace(got.body) != "["+changed+"]" {
		t.Errorf("the list is %s", got.body)
	}
	if p := r.must(412, "POST", "/worker/chg", seed, form, `If-Match: "1"`).problem(t); !strings.Contains(p.Detail, `revision "2", not "1"`) {
		t.Errorf("chg of what somebody changed meanwhile: %s", p.Detail)
	}
	r.must(400, "POST", "/worker/chg", seed, `If-Match: two`)
	r.must(200, "POST", "/worker/chg", changed, form, `If-Match: "2"`)
	r.must(200, "POST", "/worker/chg", changed, `If-Match: *`)
	r.must(412, "POST", "/worker/del", `{"name":"entry"}`, form, `If-Match: "3"`)
	r.must(400, "POST", "/worker/del", `{"name":"entry"}`, `If-Match: two`)
	r.must(412, "POST", "/worker/add", seed, `If-Match: "3"`)
	r.must(409, "POST", "/worker/add", seed, `If-Match: "4"`)
	if got := r.must(200, "GET", "/workers/get", ""); strings.TrimSpace(got.body) != "["+changed+"]" {
		t.Errorf("after what was refused the list is %s", got.body)
	}
	if got := r.must(200, "POST", "/worker/del", `{"name":"entry"}`, form, `If-Match: "4"`); strings.TrimSpace(got.body) != changed {
		t.Errorf("del answered %s", got.body)
	}
	for _, path := range []string{"/worker/add", "/worker/chg", "/worker/del"} {
		r.must(412, "POST", path, seed, `If-Match: *`)
	}
	r.must(404, "POST", "/worker/del", `{"name":"entry"}`)
	r.must(404, "POST", "/worker/chg", seed)
	if got := r.must(200, "GET", "/workers/get", ""); strings.TrimSpace(got.body) != "[]" {
		t.Errorf("the empty list is %s", got.body)
	}
	if got := r.must(201, "POST", "/worker/add", seed); got.header.Get("ETag") != `"6"` {
		t.Errorf("added again with ETag %s", got.header.Get("ETag"))
	}
}

func TestProxy_TellsEveryChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Prefix: "other"})
	sub, err := r.nc.SubscribeSync("other.event.route.changed.*")
	if err != nil {
		t.Fatal(err)
	}
	r.must(201, "POST", "/worker/add", seed)
	r.must(200, "PUT", "/v1/workers/entry", seed)
	r.must(200, "DELETE", "/v1/workers/entry", "")

	for _, want := range []struct {
		op       string
		revision uint64
	}{{"add", 1}, {"chg", 2}, {"del", 2}} {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Worker, Op string
			Revision   uint64
			At         time.Time
		}
		if err := json.Unmarshal(m.Data, &got); err != nil {
			t.Fatal(err)
		}
		if m.Subject != "other.event.route.changed.entry" || got.Worker != "entry" || got.Op != want.op || got.Revision != want.revision || got.At.IsZero() {
			t.Errorf("%s on %s, expected %v", m.Data, m.Subject, want)
		}
	}
}

func TestProxy_IsANATSService(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Version: "not a version"})
	m, err := r.nc.Request("$SRV.PING.damrey-proxy", nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var ping micro.Ping
	if err := json.Unmarshal(m.Data, &ping); err != nil {
		t.Fatal(err)
	}
	for verb, want := range map[string]string{
		"INFO":  `"type":"io.nats.micro.v1.info_response","description":"keeps the routing table and serves it over REST","endpoints":[]}`,
		"STATS": `"endpoints":[]}`,
	} {
		m, err := r.nc.Request("$SRV."+verb+".damrey-proxy."+ping.ID, nil, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var same micro.Ping
		if err := json.Unmarshal(m.Data, &same); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(same.ServiceIdentity, ping.ServiceIdentity) || !strings.HasSuffix(string(m.Data), want) {
			t.Errorf("%s: %s", verb, m.Data)
		}
	}
	if ping.Version != "0.0.0" || ping.Metadata["fabric"] != "damrey" || ping.Metadata["url"] != r.proxy.URL() {
		t.Errorf("%s", m.Data)
	}
}

func TestProxy_SendsBeats(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	heard, err := r.nc.SubscribeSync("damrey.beat.damrey-proxy.*")
	if err != nil {
		t.Fatal(err)
	}
	m, err := heard.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	id := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	b, err := new(view.Parser).Parse(report.ProxyWorker, id, m.Data)
	if err != nil {
		t.Fatal(err)
	}
	if b.State != report.Ready || b.URL != r.proxy.URL() || b.PID != os.Getpid() || b.Started.IsZero() {
		t.Errorf("%s", m.Data)
	}
	if _, err := r.nc.Request("$SRV.PING.damrey-proxy."+id, nil, 10*time.Second); err != nil {
		t.Errorf("the id is not the service's: %v", err)
	}
}
