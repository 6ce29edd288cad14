package proxyd_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

const secret = "0123456789abcdef"

// receiver is a server that webhooks point at.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	header http.Header // of the last one
}

// newReceiver answers each post as answer says; nil: 200.
func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.bodies, r.header = append(r.bodies, string(body)), req.Header.Clone()
		r.mu.Unlock()
		if answer != nil {
			answer(w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.bodies...)
}

func (r *rig) setWebhooks(hooks ...api.Webhook) {
	r.t.Helper()
	body, err := json.Marshal(api.WebhookList{Webhooks: hooks})
	if err != nil {
		r.t.Fatal(err)
	}
	r.must(200, "PUT", "/v1/webhooks", string(body))
}

func (r *rig) webhook(name string) api.Webhook {
	r.t.Helper()
	var list api.WebhookList
	if err := json.Unmarshal([]byte(r.must(200, "GET", "/v1/webhooks", "").body), &list); err != nil {
		r.t.Fatal(err)
	}
	for _, h := range list.Webhooks {
		if h.Name == name {
			return h
		}
	}
	return api.Webhook{}
}

func TestWebhook_IsToldAndCanCheckTheSignature(t *testing.T) {
	t.Parallel()
	plain, manager := newReceiver(t, nil), newReceiver(t, nil)
	critical := newReceiver(t, nil)
	r := newAlarmRig(t, proxyd.Config{Webhooks: []string{plain.URL, manager.URL, critical.URL}})
	r.setWebhooks(
		api.Webhook{Name: "plain", URL: plain.URL + "/x?y=1", Secret: secret},
		api.Webhook{Name: "manager", URL: manager.URL, Format: api.WebhookAlertmanager},
		api.Webhook{Name: "critical", URL: critical.URL, Severity: "critical"},
	)
	before := time.Now().Add(-time.Second)
	r.breakRoute()
	eventually(t, "both are told", func() bool { return len(plain.got()) == 1 && len(manager.got()) == 1 })

	var a api.Alarm
	if err := json.Unmarshal([]byte(plain.got()[0]), &a); err != nil || a.ID != lost || a.State != api.AlarmFiring || a.Do == "" {
		t.Errorf("%s, %v", plain.got(), err)
	}
	checkSignature(t, plain.header.Get("Damrey-Signature"), plain.got()[0], before)
	if manager.header.Get("Damrey-Signature") != "" {
		t.Error("signed without a secret")
	}
	checkAlertmanager(t, manager.got()[0], "firing", true)

	r.mendRoute()
	eventually(t, "both are told the end", func() bool { return len(plain.got()) == 2 && len(manager.got()) == 2 })
	checkAlertmanager(t, manager.got()[1], "resolved", false)
	if got := critical.got(); len(got) != 0 {
		t.Errorf("told of a warning: %s", got)
	}
	eventually(t, "it is counted", func() bool { d := r.webhook("plain").Delivery; return d != nil && d.Delivered == 2 && d.LastAt != nil })
	h := r.webhook("plain")
	if h.Secret != "" || !h.Signed || strings.Contains(r.do("GET", "/v1/webhooks", "").body, secret) {
		t.Errorf("%+v", h)
	}
	r.setWebhooks(api.Webhook{Name: "plain", URL: plain.URL + "/x?y=1"}) // the secret is kept
	if !r.webhook("plain").Signed {
		t.Error("the secret is gone")
	}
}

func checkSignature(t *testing.T, header, body string, before time.Time) {
	t.Helper()
	stamp, signature, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil || time.Unix(at, 0).Before(before.Add(-time.Second)) || time.Unix(at, 0).After(time.Now()) {
		t.Fatalf("%q: %v", header, err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + body))
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want {
		t.Errorf("signature %s, not %s", signature, want)
	}
}

func checkAlertmanager(t *testing.T, body, status string, open bool) {
	t.Helper()
	var m struct {
		Version, Status, Receiver string
		CommonLabels              map[string]string
		Alerts                    []struct {
			Status              string
			Labels, Annotations map[string]string
			StartsAt, EndsAt    time.Time
			Fingerprint         string
		}
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil || len(m.Alerts) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	a := m.Alerts[0]
	if m.Version != "4" || m.Status != status || m.Receiver != "manager" || a.Status != status || a.Labels["alertname"] != "no_worker" ||
		a.Labels["severity"] != "warning" || a.Labels["worker"] != "src" || a.Annotations["summary"] == "" ||
		a.StartsAt.IsZero() || a.EndsAt.IsZero() != open || a.Fingerprint == "" {
		t.Errorf("%s", body)
	}
}

func TestWebhook_IsTriedAgain(t *testing.T) {
	t.Parallel()
	var times atomic.Int32
	busy := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if times.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	never := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	r := newAlarmRig(t, proxyd.Config{Webhooks: []string{busy.URL, never.URL}})
	r.setWebhooks(api.Webhook{Name: "busy", URL: busy.URL}, api.Webhook{Name: "never", URL: never.URL})
	r.breakRoute()
	eventually(t, "it is taken in the end", func() bool { d := r.webhook("busy").Delivery; return d != nil && d.Delivered == 1 && d.LastError == "" })
	eventually(t, "what is refused is given up", func() bool {
		d := r.webhook("never").Delivery
		return d != nil && d.Failed == 1 && strings.Contains(d.LastError, "404")
	})
	if n := len(busy.got()); n != 3 {
		t.Errorf("posted %d times", n)
	}
	if n := len(never.got()); n != 1 {
		t.Errorf("posted %d times", n)
	}
}

// told counts the posts of an alarm in a state.
func (r *receiver) told(id string, state api.AlarmState) (n int) {
	for _, body := range r.got() {
		var a api.Alarm
		if json.Unmarshal([]byte(body), &a) == nil && a.ID == id && a.State == state {
			n++
		}
	}
	return n
}

// One that is new or has changed is told what fires already, but what is silenced or not bad enough for it.
func TestWebhook_ThatStartsIsToldWhatFires(t *testing.T) {
	t.Parallel()
	late, critical := newReceiver(t, nil), newReceiver(t, nil)
	r := newAlarmRig(t, proxyd.Config{Webhooks: []string{late.URL, critical.URL}})
	r.breakRoute()
	r.awaitAlarm(lost, api.AlarmFiring)
	r.setWebhooks(api.Webhook{Name: "critical", URL: critical.URL, Severity: "critical"}, api.Webhook{Name: "late", URL: late.URL})
	eventually(t, "the new one is told", func() bool { return late.told(lost, api.AlarmFiring) == 1 })
	r.setWebhooks(api.Webhook{Name: "critical", URL: critical.URL, Severity: "critical"}, api.Webhook{Name: "late", URL: late.URL + "/x"})
	eventually(t, "the changed one is told", func() bool { return late.told(lost, api.AlarmFiring) == 2 })

	r.must(201, "POST", "/v1/silences", `{"worker":"src","by":"me","why":"works","until":"`+inAnHour()+`"}`)
	r.setWebhooks(api.Webhook{Name: "critical", URL: critical.URL, Severity: "critical"}, api.Webhook{Name: "late", URL: late.URL + "/y"})
	r.must(201, "POST", "/worker/add", `{"name":"src2","commands":[{"name":"job","worker":"nowhere"}]}`)
	eventually(t, "it is told what comes after", func() bool { return late.told("no_worker:src2→job→nowhere", api.AlarmFiring) == 1 })
	if n := late.told(lost, api.AlarmFiring); n != 2 {
		t.Errorf("told %d times, though it is silenced", n)
	}
	if got := critical.got(); len(got) != 0 {
		t.Errorf("told of a warning: %s", got)
	}
}

// What one proxy could not deliver is told by the one that takes over, also when that one has read the settings long before.
func TestWebhook_IsToldWhatFiresByTheNextProxy(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	pager := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	first := newAlarmRig(t, proxyd.Config{Webhooks: []string{pager.URL}})
	first.setWebhooks(api.Webhook{Name: "pager", URL: pager.URL})
	first.breakRoute()
	eventually(t, "it is tried", func() bool { return len(pager.got()) > 0 })
	second := startProxy(t, first.srv, proxyd.Config{Webhooks: []string{pager.URL}})
	await(t, second.proxy.Ready())
	eventually(t, "the second shows it", func() bool {
		return second.webhook("pager").URL == pager.URL && second.alarm(lost).State == api.AlarmFiring
	})
	first.stop()
	up.Store(true)
	eventually(t, "the second delivers it", func() bool { d := second.webhook("pager").Delivery; return d != nil && d.Delivered == 1 })
	second.mendRoute()
	eventually(t, "and its end", func() bool { return pager.told(lost, api.AlarmResolved) == 1 })
}

func TestWebhook_ThatHangsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hangs := newReceiver(t, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	defer close(release)
	good := newReceiver(t, nil)
	r := newAlarmRig(t, proxyd.Config{Webhooks: []string{hangs.URL, good.URL}})
	r.setWebhooks(api.Webhook{Name: "hangs", URL: hangs.URL}, api.Webhook{Name: "good", URL: good.URL})
	heard := listen(t, r.nc)
	r.breakRoute()
	eventually(t, "the other is told", func() bool { return len(good.got()) == 1 && len(hangs.got()) >= 1 })
	r.mendRoute()
	eventually(t, "the other is told the end", func() bool { return len(good.got()) == 2 })
	eventually(t, "so is everybody", func() bool { return heard.count(lost, api.AlarmResolved) == 1 })
	if n := len(hangs.got()); n != 1 {
		t.Errorf("%d posts at once", n)
	}
	ended := make(chan struct{})
	go func() { r.stop(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(9 * time.Second):
		t.Error("the proxy waits for a webhook that hangs")
	}
}

func TestWebhook_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	inside := newReceiver(t, nil)
	outside := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, inside.URL, http.StatusTemporaryRedirect)
	})
	r := newAlarmRig(t, proxyd.Config{Webhooks: []string{outside.URL}})
	r.setWebhooks(api.Webhook{Name: "outside", URL: outside.URL})
	r.breakRoute()
	eventually(t, "it is given up", func() bool {
		d := r.webhook("outside").Delivery
		return d != nil && d.Failed == 1 && strings.Contains(d.LastError, "it redirects to")
	})
	if got := inside.got(); len(got) > 0 {
		t.Errorf("followed: %s", got)
	}
}

// A name that is allowed, but turns out to be this machine, is not reached unless the address is allowed too.
func TestWebhook_DoesNotReachThisMachineByAName(t *testing.T) {
	t.Parallel()
	inside := newReceiver(t, nil)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	target := "http://localhost:" + port + "/"
	r := newAlarmRig(t, proxyd.Config{Webhooks: []string{"localhost"}})
	r.setWebhooks(api.Webhook{Name: "sly", URL: target})
	r.breakRoute()
	eventually(t, "it is refused", func() bool {
		d := r.webhook("sly").Delivery
		return d != nil && strings.Contains(d.LastError, "is this machine, which webhooks do not reach; start the proxy with --webhook ")
	})
	if got := inside.got(); len(got) > 0 {
		t.Errorf("reached: %s", got)
	}
	allowed := newAlarmRig(t, proxyd.Config{Webhooks: []string{"localhost", "127.0.0.0/8", "::1"}})
	allowed.setWebhooks(api.Webhook{Name: "meant", URL: target})
	allowed.breakRoute()
	eventually(t, "it is reached when it is meant", func() bool { return len(inside.got()) == 1 })
}

func TestWebhooks_NonsenseIsRefused(t *testing.T) {
	t.Parallel()
	r := newAlarmRig(t, proxyd.Config{Webhooks: []string{"https://hooks.example.com/team", "10.1.2.3", "hooks.example.org:8443"}})
	for body, want := range map[string]string{
		`{"name":"a","url":"https://hooks.example.com/other"}`:                       "the proxy's configuration does not allow it: start the proxy with --webhook https://hooks.example.com/",
		`{"name":"a","url":"https://hooks.example.com/teams"}`:                       "does not allow it",
		`{"name":"a","url":"https://hooks.example.com/team/../x"}`:                   "the path is not clean",
		`{"name":"a","url":"https://hooks.example.com/team/%2e%2e/x"}`:               "the path is not clean",
		`{"name":"a","url":"http://hooks.example.com/team"}`:                         "does not allow it",
		`{"name":"a","url":"https://hooks.example.com:444/team"}`:                    "does not allow it",
		`{"name":"a","url":"https://hooks.example.com.evil.org/team"}`:               "does not allow it",
		`{"name":"a","url":"https://hooks.example.com@evil.org/team"}`:               "no user or password may be in it",
		`{"name":"a","url":"http://127.0.0.1:4222/"}`:                                "does not allow it",
		`{"name":"a","url":"http://10.1.2.4/"}`:                                      "does not allow it",
		`{"name":"a","url":"http://hooks.example.org/"}`:                             "does not allow it",
		`{"name":"a","url":"file:///etc/passwd"}`:                                    `the scheme \"file\" is neither http nor https`,
		`{"name":"a","url":"nonsense"}`:                                              `the scheme \"\" is neither http nor https`,
		`{"name":"a b","url":"http://10.1.2.3/"}`:                                    `webhooks[0].name`,
		`{"name":"a","url":"http://10.1.2.3/","secret":"short"}`:                     `use at least 16 characters`,
		`{"name":"a","url":"http://10.1.2.3/","format":"xml"}`:                       `expected value to be one of`,
		`{"name":"a","url":"http://10.1.2.3/"},{"name":"a","url":"http://10.1.2.3"}`: `it stands twice`,
	} {
		if got := r.do("PUT", "/v1/webhooks", `{"webhooks":[`+body+`]}`); got.status != 422 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	r.setWebhooks(
		api.Webhook{Name: "a", URL: "https://HOOKS.example.com:443/team/x?y=z"}, api.Webhook{Name: "b", URL: "http://10.1.2.3:9/z"},
		api.Webhook{Name: "c", URL: "http://hooks.example.org:8443/"})
	bare := newRig(t, proxyd.Config{})
	eventually(t, "without configuration nothing is allowed", func() bool {
		got := bare.do("PUT", "/v1/webhooks", `{"webhooks":[{"name":"a","url":"https://hooks.example.com/"}]}`)
		return got.status == 422 && strings.Contains(got.body, "does not allow it")
	})
}
