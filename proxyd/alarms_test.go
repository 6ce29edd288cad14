package proxyd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

// lost is the id of the alarm of a route from src to a worker that is not there.
const lost = "no_worker:src→job→nowhere"

// newAlarmRig is a proxy whose rule no_worker fires and is resolved at once.
func newAlarmRig(t *testing.T, cfg proxyd.Config) *rig {
	t.Helper()
	r := newRig(t, cfg)
	r.atOnce()
	return r
}

func (r *rig) atOnce() {
	r.t.Helper()
	eventually(r.t, "rules can be set", func() bool {
		return r.do("PUT", "/v1/alarm-rules/no_worker", `{"for":"0s","keep":"0s"}`).status == 200
	})
}

func (r *rig) alarms() []api.Alarm {
	r.t.Helper()
	var list api.AlarmList
	if got := r.do("GET", "/v1/alarms", ""); got.status != 200 {
		return nil
	} else if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		r.t.Fatal(err)
	}
	return list.Alarms
}

// alarm is the one of an id; the zero one when there is none.
func (r *rig) alarm(id string) api.Alarm {
	r.t.Helper()
	for _, a := range r.alarms() {
		if a.ID == id {
			return a
		}
	}
	return api.Alarm{}
}

func (r *rig) awaitAlarm(id string, state api.AlarmState) api.Alarm {
	r.t.Helper()
	var a api.Alarm
	eventually(r.t, fmt.Sprintf("%s is %s", id, state), func() bool { a = r.alarm(id); return a.State == state })
	return a
}

// breakRoute registers a route that leads nowhere, and mendRoute the worker that it leads to.
func (r *rig) breakRoute() {
	r.t.Helper()
	r.must(201, "POST", "/worker/add", `{"name":"src","commands":[{"name":"job","worker":"nowhere"}]}`)
}

func (r *rig) mendRoute() {
	r.t.Helper()
	r.must(201, "POST", "/worker/add", `{"name":"nowhere"}`)
}

// heard are the alarms that were published.
type heardAlarms struct {
	mu  sync.Mutex
	all []api.Alarm
	on  []string
}

func listen(t *testing.T, nc *nats.Conn) *heardAlarms {
	t.Helper()
	h := &heardAlarms{}
	_, err := nc.Subscribe("damrey.alarm.>", func(m *nats.Msg) {
		var a api.Alarm
		if err := json.Unmarshal(m.Data, &a); err != nil {
			t.Errorf("%s: %v", m.Data, err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all, h.on = append(h.all, a), append(h.on, m.Subject)
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *heardAlarms) count(id string, state api.AlarmState) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.all {
		if a.ID == id && a.State == state {
			n++
		}
	}
	return n
}

func TestAlarms_FireAndAreResolved(t *testing.T) {
	t.Parallel()
	r := newAlarmRig(t, proxyd.Config{})
	heard := listen(t, r.nc)
	r.breakRoute()
	a := r.awaitAlarm(lost, api.AlarmFiring)
	if a.Severity != "warning" || a.Do != "damrey worker add nowhere" || a.Count != 1 || a.Fired == nil {
		t.Errorf("%+v", a)
	}
	eventually(t, "it is published", func() bool { return heard.count(lost, api.AlarmFiring) == 1 })
	if on := heard.on[0]; on != "damrey.alarm.warning.no_worker.src" {
		t.Errorf("published on %s", on)
	}
	r.mendRoute()
	r.awaitAlarm(lost, api.AlarmResolved)
	eventually(t, "that is published", func() bool { return heard.count(lost, api.AlarmResolved) == 1 })
	if n := heard.count(lost, api.AlarmFiring); n != 1 {
		t.Errorf("published %d times", n)
	}
	for query, want := range map[string]int{"?rule=no_worker": 1, "?rule=disk": 0, "?worker=src": 1, "?state=firing": 0, "?state=resolved&worker=src": 1} {
		var list api.AlarmList
		if err := json.Unmarshal([]byte(r.must(200, "GET", "/v1/alarms"+query, "").body), &list); err != nil || len(list.Alarms) != want {
			t.Errorf("%s: %+v, %v", query, list, err)
		}
	}
}

// Two proxies in front of one NATS: one tells, and when it is gone the other goes on, and tells nothing twice.
func TestAlarms_OfTwoProxiesOneTells(t *testing.T) {
	t.Parallel()
	for _, nodes := range [][2]string{{"", ""}, {"a", "b"}} {
		t.Run("nodes "+nodes[0]+nodes[1], func(t *testing.T) {
			t.Parallel()
			first := newAlarmRig(t, proxyd.Config{Node: nodes[0]})
			second := startProxy(t, first.srv, proxyd.Config{Node: nodes[1]})
			await(t, second.proxy.Ready())
			listener := connect(t, first.srv)
			heard := listen(t, listener)
			first.breakRoute()
			a, b := first.awaitAlarm(lost, api.AlarmFiring), second.awaitAlarm(lost, api.AlarmFiring)
			if !a.Since.Equal(b.Since) || !a.Fired.Equal(*b.Fired) {
				t.Errorf("%+v and %+v", a, b)
			}
			eventually(t, "it is published", func() bool { return heard.count(lost, api.AlarmFiring) == 1 })
			second.must(200, "POST", "/v1/alarms/"+lost+"/ack", `{"by":"me","why":"on it"}`)
			eventually(t, "both show who has it", func() bool {
				a, b := first.alarm(lost), second.alarm(lost)
				return a.Acked != nil && a.Acked.By == "me" && b.Acked != nil && !b.Acked.At.IsZero()
			})

			first.stop()
			second.must(201, "POST", "/worker/add", `{"name":"src2","commands":[{"name":"job","worker":"nowhere"}]}`)
			eventually(t, "the other goes on", func() bool { return heard.count("no_worker:src2→job→nowhere", api.AlarmFiring) == 1 })
			if n := heard.count(lost, api.AlarmFiring); n != 1 {
				t.Errorf("told %d times", n)
			}
			now := second.alarm(lost)
			if now.State != api.AlarmFiring || !now.Fired.Equal(*a.Fired) || now.Acked == nil || now.Count != 1 {
				t.Errorf("after the other took over: %+v", now)
			}
			second.mendRoute()
			second.awaitAlarm(lost, api.AlarmResolved)
			eventually(t, "it is told once", func() bool { return heard.count(lost, api.AlarmResolved) == 1 })
			eventually(t, "the acknowledgement is over", func() bool {
				return second.do("DELETE", "/v1/alarms/"+lost+"/ack", "").status == 404
			})
		})
	}
}

func TestAlarms_OfWhatIsGoneAreAcknowledgedByNobody(t *testing.T) {
	t.Parallel()
	r := newAlarmRig(t, proxyd.Config{})
	r.breakRoute()
	r.awaitAlarm(lost, api.AlarmFiring)
	for _, c := range []struct {
		status             int
		method, path, body string
		want               string
	}{
		{404, "POST", "/v1/alarms/nonsense/ack", `{"by":"me"}`, "there is no alarm \"nonsense\""},
		{422, "POST", "/v1/alarms/" + lost + "/ack", `{}`, "body"},
		{422, "POST", "/v1/alarms/" + lost + "/ack", `{"by":""}`, "body.by"},
		{404, "DELETE", "/v1/alarms/" + lost + "/ack", "", "nobody has acknowledged"},
	} {
		if got := r.do(c.method, c.path, c.body); got.status != c.status || !strings.Contains(got.body, jsonText(c.want)) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, got.status, got.body)
		}
	}
	r.must(200, "POST", "/v1/alarms/"+lost+"/ack", `{"by":"me"}`)
	if a := r.alarm(lost); a.Acked == nil {
		t.Errorf("%+v", a)
	}
	r.must(204, "DELETE", "/v1/alarms/"+lost+"/ack", "")
	if a := r.alarm(lost); a.Acked != nil {
		t.Errorf("%+v", a)
	}
	r.mendRoute()
	r.awaitAlarm(lost, api.AlarmResolved)
	if got := r.must(409, "POST", "/v1/alarms/"+lost+"/ack", `{"by":"me"}`); !strings.Contains(got.body, "was resolved at") {
		t.Error(got.body)
	}
}

func jsonText(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return strings.Trim(string(text), `"`)
}

func inAnHour() string { return time.Now().Add(time.Hour).Format(time.RFC3339) }

// A silence keeps an alarm from being told, not from being listed; what still fires at its end is told then.
func TestSilences_HushAndEnd(t *testing.T) {
	t.Parallel()
	r := newAlarmRig(t, proxyd.Config{})
	heard := listen(t, r.nc)
	var s api.Silence
	got := r.must(201, "POST", "/v1/silences",
		`{"rule":"no_worker","worker":"src","by":"me","why":"works","until":"`+inAnHour()+`"}`)
	if err := json.Unmarshal([]byte(got.body), &s); err != nil || s.ID == "" {
		t.Fatal(got.body, err)
	}
	r.breakRoute()
	a := r.awaitAlarm(lost, api.AlarmFiring)
	if a.Silenced == nil || a.Silenced.Why != "works" {
		t.Errorf("%+v", a)
	}
	var list api.SilenceList
	if err := json.Unmarshal([]byte(r.must(200, "GET", "/v1/silences", "").body), &list); err != nil || len(list.Silences) != 1 || list.Silences[0].ID != s.ID {
		t.Errorf("%+v, %v", list, err)
	}
	if n := heard.count(lost, api.AlarmFiring); n != 0 {
		t.Errorf("told %d times", n)
	}
	r.must(204, "DELETE", "/v1/silences/"+s.ID, "")
	eventually(t, "it is told after the silence", func() bool { return heard.count(lost, api.AlarmFiring) == 1 })
	r.must(404, "DELETE", "/v1/silences/"+s.ID, "")

	for body, want := range map[string]string{
		`{"by":"me","why":"x","until":"2020-01-02T03:04:05Z"}`:                       "it has passed, it is 20",
		`{"by":"me","why":"x","until":"3020-01-02T03:04:05Z"}`:                       "it is over a year away",
		`{"by":"me","why":"x","until":"soon"}`:                                       "body.until",
		`{"by":"me","why":"","until":"` + inAnHour() + `"}`:                          "body.why",
		`{"by":"me","why":"x","rule":"nonsense","until":"` + inAnHour() + `"}`:       "there is no such rule; there are no_instance, ",
		`{"by":"me","why":"x","worker":"no worker","until":"` + inAnHour() + `"}`:    "body.worker",
		`{"by":"me","why":"x","nonsense":"no worker","until":"` + inAnHour() + `"}`:  "nonsense",
		`{"by":"` + strings.Repeat("x", 101) + `","why":"x","until":"2126-01-01T0"}`: "body.by",
	} {
		if got := r.do("POST", "/v1/silences", body); got.status != 422 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
}

func TestRules_AreChangedAndNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	r := newAlarmRig(t, proxyd.Config{})
	rule := func(name string) (d api.AlarmRule) {
		t.Helper()
		if err := json.Unmarshal([]byte(r.must(200, "GET", "/v1/alarm-rules/"+name, "").body), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := rule("errors"); d.Changed || d.Limits["share"] != 0.05 || !d.Enabled {
		t.Errorf("%+v", d)
	}
	r.must(200, "PUT", "/v1/alarm-rules/errors", `{"limits":{"share":0.5},"severity":"critical","overrides":[{"worker":"test-*","enabled":false}]}`)
	if d := rule("errors"); !d.Changed || d.Limits["share"] != 0.5 || d.Limits["least"] != 5 || d.Severity != "critical" || len(d.Overrides) != 1 {
		t.Errorf("%+v", d)
	}
	for body, want := range map[string]string{
		`{"limits":{"share":7}}`:                               `limits.share 7: failed of those handled is from 0.0001 to 1`,
		`{"limits":{"nonsense":7}}`:                            `it has share, least`,
		`{"severity":"awful"}`:                                 `use one of info, warning, critical`,
		`{"for":"soon"}`:                                       `use a duration such as 30s`,
		`{"name":"busy"}`:                                      `the path says errors`,
		`{"limits":{"share":"much"}}`:                          `expected number`,
		`{"nonsense":1}`:                                       `unexpected property`,
		`{"overrides":[{"worker":"<b>"}]}`:                     `overrides[0].worker`,
		`{"overrides":[{"worker":"a","limits":{"share":-1}}]}`: `overrides[0].limits.share`,
		`{"overrides":[{"worker":"a","severity":"awful"}],"for":"30s"}`: `expected value to be one of`,
	} {
		if got := r.do("PUT", "/v1/alarm-rules/errors", body); got.status != 422 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	r.must(404, "PUT", "/v1/alarm-rules/nonsense", `{}`)
	r.must(404, "GET", "/v1/alarm-rules/nonsense", ``)
	r.must(422, "PUT", "/v1/alarm-rules", `{"rules":[{"name":"busy","for":"1s"},{"name":"busy"}]}`)
	r.must(422, "PUT", "/v1/alarm-rules", `{"rules":[{"name":"busy","for":"1s"},{"name":"errors","for":"x"}]}`)
	if d := rule("busy"); d.Changed {
		t.Errorf("half of a list was taken: %+v", d)
	}
	r.must(200, "PUT", "/v1/alarm-rules", `{"rules":[{"name":"busy","for":"1s"}]}`)
	if rule("errors").Changed || !rule("busy").Changed {
		t.Error("a list does not replace all rules")
	}
	r.must(204, "DELETE", "/v1/alarm-rules/busy", "")
	if rule("busy").Changed {
		t.Error("a rule is not set back")
	}
}

// What somebody writes into the buckets by hand, or removes from them, stops nothing.
func TestAlarms_BrokenBucketsAreSaidAndStopNothing(t *testing.T) {
	t.Parallel()
	r := newAlarmRig(t, proxyd.Config{})
	settings, state := r.bucket("damrey_alarms"), r.bucket("damrey_alarmstate")
	for key, value := range map[string]string{
		"rule.errors": `{"for":"nonsense"}`, "rule.nonsense": `{}`, "rule.busy": `[`, "silence.x": `7`, "ack.x": `{}`, "webhooks": `{}`, "other": `1`,
	} {
		if _, err := settings.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := state.PutString(t.Context(), "nonsense", "["); err != nil {
		t.Fatal(err)
	}
	r.breakRoute()
	r.awaitAlarm(lost, api.AlarmFiring)
	r.must(200, "GET", "/v1/alarm-rules", "")

	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"KV_damrey_alarms", "KV_damrey_alarmstate"} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	r.atOnce() // the bucket is made again
	if a := r.awaitAlarm(lost, api.AlarmFiring); a.Count != 1 {
		t.Errorf("%+v", a)
	}
}

func TestAlarms_OfTheConfigurationAreStored(t *testing.T) {
	t.Parallel()
	off := false
	given := &api.AlarmSettings{
		Rules:    []api.AlarmRuleChange{{Name: "errors", Enabled: &off}},
		Webhooks: []api.Webhook{{Name: "pager", URL: "https://hooks.example.com/x/y"}},
	}
	r := newRig(t, proxyd.Config{Alarms: given, Webhooks: []string{"https://hooks.example.com/x/"}})
	eventually(t, "it is stored", func() bool {
		return strings.Contains(r.do("GET", "/v1/alarm-rules/errors", "").body, `"enabled":false`) &&
			strings.Contains(r.do("GET", "/v1/webhooks", "").body, `"name":"pager"`)
	})
	for _, c := range []struct {
		cfg  proxyd.Config
		want string
	}{
		{proxyd.Config{Webhooks: []string{"ftp://x"}}, `webhook address "ftp://x": the scheme "ftp" is neither http nor https; use https://hooks.example.com/damrey/`},
		{proxyd.Config{Webhooks: []string{"*"}}, "there is no host in it"},
		{proxyd.Config{Webhooks: []string{"example.com/x"}}, "a path needs http:// or https:// before it"},
		{proxyd.Config{Alarms: &api.AlarmSettings{Rules: []api.AlarmRuleChange{{Name: "x"}}}}, `alarms: rules[0].name "x": there is no such rule`},
		{proxyd.Config{Alarms: given}, "alarms: webhooks: url https://hooks.example.com/x/y: the proxy's configuration does not allow it: start the proxy with --webhook https://hooks.example.com/"},
	} {
		if err := proxyd.Check(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, not %q", err, c.want)
		}
	}
}

func TestAlarms_AreInTheDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(r.must(http.StatusOK, "GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range map[string][]string{
		"/v1/alarms": {"get"}, "/v1/alarms/{id}/ack": {"delete", "post"}, "/v1/silences": {"get", "post"}, "/v1/silences/{id}": {"delete"},
		"/v1/alarm-rules": {"get", "put"}, "/v1/alarm-rules/{name}": {"delete", "get", "put"}, "/v1/webhooks": {"get", "put"},
	} {
		var have []string
		for method := range document.Paths[path] {
			have = append(have, method)
		}
		slices.Sort(have)
		if !slices.Equal(have, methods) {
			t.Errorf("%s: %v, not %v", path, have, methods)
		}
	}
}
