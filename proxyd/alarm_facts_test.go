package proxyd_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/proxyd"
)

func (r *rig) rule(name, body string) {
	r.t.Helper()
	eventually(r.t, "rules can be set", func() bool { return r.do("PUT", "/v1/alarm-rules/"+name, body).status == 200 })
}

func TestAlarms_AgentThatFallsSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Lease: time.Second})
	r.rule("agent_lost", `{"for":"0s","keep":"0s"}`)
	const id = "agent_lost:10.1.2.3:4222"
	r.must(200, "PUT", "/v1/agents/10.1.2.3:4222", `{"id":"abc","host":"machine","pid":7}`)
	a := r.awaitAlarm(id, api.AlarmFiring)
	if a.Severity != "critical" || !strings.HasPrefix(a.Text, "agent 10.1.2.3:4222 (pid 7 on machine) has not renewed its name since ") {
		t.Errorf("%+v", a)
	}
	if l := next(t, r.stream("/v1/events?last=2000&kind=alarm.firing")); !strings.Contains(l.data, `"about":"10.1.2.3:4222"`) {
		t.Errorf("the event is %s", l.data)
	}
	r.must(204, "DELETE", "/v1/agents/10.1.2.3:4222?id=abc", "")
	r.awaitAlarm(id, api.AlarmResolved)
}

// The clocks of machines that have only an agent or a proxy are compared too.
func TestAlarms_ClocksOfAgentsAndProxies(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.rule("clock_skew", `{"for":"0s","keep":"0s"}`)
	for worker, host := range map[string]string{report.AgentWorker: "machine-8", report.ProxyWorker: "machine-9"} {
		b := r.beater(worker, "x1")
		b.beat.Host, b.beat.At = host, time.Now().Add(time.Minute)
		data, err := json.Marshal(b.beat)
		if err == nil {
			err = r.nc.Publish(report.Subject("damrey", worker, "x1"), data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, host := range []string{"machine-8", "machine-9"} {
		if a := r.awaitAlarm("clock_skew:"+host, api.AlarmFiring); !strings.Contains(a.Text, "ahead of the proxy's") {
			t.Errorf("%+v", a)
		}
	}
}

// The alarm that nothing can be stored is told though it cannot be stored, and is gone when that is over.
func TestAlarms_DiskThatIsFull(t *testing.T) {
	t.Parallel()
	var used atomic.Uint64
	var broken atomic.Bool
	r := newRig(t, proxyd.Config{
		Disk: func() (uint64, uint64, error) { return used.Load(), 1000, nil },
		Trouble: func() error {
			if broken.Load() {
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	heard := listen(t, r.nc)
	r.rule("disk", `{"for":"0s","keep":"0s","limits":{"fill":0.8}}`)
	used.Store(850)
	a := r.awaitAlarm("disk:broker", api.AlarmFiring)
	if a.Value != 0.85 || a.Limit != 0.8 || !strings.Contains(a.Text, "the storage of broker is 85 % full") {
		t.Errorf("%+v", a)
	}
	used.Store(100)
	r.awaitAlarm("disk:broker", api.AlarmResolved)
	eventually(t, "it was told", func() bool { return heard.count("disk:broker", api.AlarmResolved) == 1 })

	broken.Store(true)
	eventually(t, "it is told", func() bool { return heard.count("disk:broker", api.AlarmFiring) == 2 })
	eventually(t, "it is listed", func() bool { return strings.Contains(r.alarm("disk:broker").Text, "no space left on device") })
	if got := r.do("PUT", "/v1/alarm-rules/errors", `{}`); got.status != 507 {
		t.Errorf("%d %s", got.status, got.body)
	}
	time.Sleep(8 * time.Second) // the turn cannot be renewed meanwhile
	if a := r.alarm("disk:broker"); a.State != api.AlarmFiring {
		t.Errorf("%+v", a)
	}
	broken.Store(false)
	r.awaitAlarm("disk:broker", api.AlarmResolved)
	if n := heard.count("disk:broker", api.AlarmFiring); n != 2 {
		t.Errorf("told %d times", n)
	}
}

// Whose disk it is does not matter: one proxy of a cluster tells for all.
func TestAlarms_DiskOfAnotherProxy(t *testing.T) {
	t.Parallel()
	full := func() (uint64, uint64, error) { return 99, 100, nil }
	room := func() (uint64, uint64, error) { return 1, 100, nil }
	first := newRig(t, proxyd.Config{Node: "a", Disk: room})
	first.rule("disk", `{"for":"0s","keep":"0s"}`)
	startProxy(t, first.srv, proxyd.Config{Node: "b", Disk: full})
	eventually(t, "it fires", func() bool { return first.alarm("disk:b").State == api.AlarmFiring })
	if a := first.alarm("disk:a"); a.ID != "" {
		t.Errorf("%+v", a)
	}
}
