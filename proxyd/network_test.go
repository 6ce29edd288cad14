package proxyd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/proxyd"
)

// beater sends the beats of one instance, as an instance does.
type beater struct {
	r    *rig
	beat report.Beat
	stay report.Live
}

func (r *rig) beater(worker, instance string) *beater {
	now := time.Now()
	return &beater{r: r, beat: report.Beat{
		Worker: worker, Instance: instance, Version: "1.2.3", Host: "machine-1", PID: 4711, Started: now, At: now,
		State: report.Ready, Capacity: 100,
	}}
}

func (b *beater) send() {
	b.r.t.Helper()
	b.beat.At = time.Now()
	data, err := json.Marshal(b.beat)
	if err == nil {
		err = b.r.nc.Publish(report.Subject("damrey", b.beat.Worker, b.beat.Instance), data)
	}
	if err != nil {
		b.r.t.Fatal(err)
	}
}

// handle counts messages that came, some of which failed.
func (b *beater) handle(from, typ string, n, failed uint64, stay time.Duration) {
	for range n {
		b.stay.Add(stay)
	}
	if len(b.beat.In) == 0 {
		b.beat.In = []report.In{{From: from, Type: typ}}
	}
	in := &b.beat.In[0]
	in.Handled += n
	in.Errors += failed
	in.Work += n * uint64(stay)
	in.Stay = b.stay.Snapshot()
	if failed > 0 {
		in.LastError, in.LastCode, in.LastAt = "no such number", "error", time.Now()
	}
}

func (r *rig) network() api.Network {
	r.t.Helper()
	n, err := r.client().Network(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func edgeOf(n api.Network, from, typ, to string) api.Edge {
	for _, e := range n.Edges {
		if e.From == from && e.Type == typ && e.To == to {
			return e
		}
	}
	return api.Edge{}
}

func nodeOf(n api.Network, name string) api.Node {
	for _, node := range n.Nodes {
		if node.Name == name {
			return node
		}
	}
	return api.Node{}
}

func TestNetwork_ShowsWhatBeatsSay(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "PUT", "/v1/workers/entry", `{"name":"entry","commands":[{"name":"add","worker":"add"},{"name":"rest","worker":"add"}]}`)
	r.must(201, "PUT", "/v1/workers/add", `{"name":"add","commands":[]}`)
	add := r.beater("add", "A1")
	add.send()
	eventually(t, "add is ready and in the table", func() bool {
		n := r.network()
		return nodeOf(n, "add").Ready == 1 && edgeOf(n, "entry", "rest", "add").Declared
	})
	if e := edgeOf(r.network(), "entry", "add", "add"); !e.Declared || e.Observed || e.Health != api.HealthIdle {
		t.Errorf("without traffic: %+v", e)
	}

	add.handle("entry", "add", 100, 10, 3*time.Millisecond)
	add.send()
	stranger := r.beater("add", "A2")
	stranger.handle("stranger", "add", 5, 0, time.Millisecond)
	stranger.send()
	eventually(t, "the traffic is seen", func() bool { return edgeOf(r.network(), "entry", "add", "add").Handled == 100 })
	n := r.network()
	e := edgeOf(n, "entry", "add", "add")
	if !e.Observed || e.Rate <= 0 || e.Errors != 0.1 || e.Health != api.HealthDegraded || e.Why == "" || e.LastError != "no such number" {
		t.Errorf("with traffic: %+v", e)
	}
	if e.P50 < 2.5 || e.P50 > 3.5 || e.P99 < e.P50 || e.Work < 2.9 || e.Work > 3.1 {
		t.Errorf("times: %+v", e.Flow)
	}
	eventually(t, "undeclared traffic is told apart", func() bool {
		e := edgeOf(r.network(), "stranger", "add", "add")
		return e.Observed && !e.Declared && e.Handled == 5
	})

	list, err := r.client().Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Instances) != 2 || list.Instances[0].ID != "A1" || list.Instances[0].Host != "machine-1" || list.Instances[0].State != "ready" {
		t.Errorf("%+v", list)
	}
	stats, err := r.client().Stats(t.Context(), api.StatsQuery{Route: "entry.*.add"})
	if err != nil {
		t.Fatal(err)
	}
	var handled uint64
	for _, s := range stats.Series {
		for _, p := range s.Points {
			handled += p.Handled
		}
	}
	if handled != 100 || stats.Step != 5 {
		t.Errorf("%+v", stats)
	}
	ofOne, err := r.client().Stats(t.Context(), api.StatsQuery{Worker: "add", Instance: "A1"})
	if err != nil {
		t.Fatal(err)
	}
	handled = 0
	for _, p := range ofOne.Series[0].Points {
		handled += p.Handled
	}
	if len(ofOne.Series) != 1 || ofOne.Series[0].Instance != "A1" || handled != 100 {
		t.Errorf("of one instance: %+v", ofOne)
	}
	last := stats.Series[0].LastErrors
	if len(last) != 1 || last[0].Code != "error" || last[0].Text != "no such number" || last[0].Instance != "A1" || time.Since(last[0].At) > time.Minute {
		t.Errorf("last errors: %+v", last)
	}
}

func TestNetwork_AfterTheLastInstanceLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "PUT", "/v1/workers/entry", `{"name":"entry","commands":[{"name":"add","worker":"add"}]}`)
	r.must(201, "PUT", "/v1/workers/add", `{"name":"add","commands":[]}`)
	told, err := r.nc.SubscribeSync("damrey.event.instance.>")
	if err != nil {
		t.Fatal(err)
	}
	add := r.beater("add", "A1")
	add.send()
	eventually(t, "add is ready", func() bool { return nodeOf(r.network(), "add").Ready == 1 })
	add.beat.State = report.Left
	add.send()
	eventually(t, "add is failing", func() bool { return nodeOf(r.network(), "add").Health == api.HealthFailing })
	if e := edgeOf(r.network(), "entry", "add", "add"); e.Health != api.HealthFailing || e.Why == "" {
		t.Errorf("%+v", e)
	}
	for _, what := range []string{"joined", "left"} {
		m, err := told.NextMsg(10 * time.Second)
		if err != nil || m.Subject != fmt.Sprintf("damrey.event.instance.%s.add.A1", what) {
			t.Fatalf("%+v, %v", m, err)
		}
	}
}

// Two proxies in front of one NATS both see who comes and goes, and one of them tells.
func TestEvents_OfTwoProxiesOneTells(t *testing.T) {
	t.Parallel()
	first := newRig(t, proxyd.Config{})
	second := startProxy(t, first.srv, proxyd.Config{})
	await(t, second.proxy.Ready())
	told, err := connect(t, first.srv).SubscribeSync("damrey.event.instance.>")
	if err != nil {
		t.Fatal(err)
	}
	first.must(201, "PUT", "/v1/workers/add", `{"name":"add","commands":[]}`)
	heard := make(map[string]int)
	for n, id := range []string{"A1", "A2", "A3"} {
		first.beater("add", id).send()
		for _, r := range []*rig{first, second} {
			eventually(t, id+" is seen by both", func() bool { return nodeOf(r.network(), "add").Ready == n+1 })
		}
		for heard["damrey.event.instance.joined.add."+id] == 0 {
			m, err := told.NextMsg(20 * time.Second)
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			heard[m.Subject]++
		}
	}
	if len(heard) != 3 || heard["damrey.event.instance.joined.add.A1"] != 1 || heard["damrey.event.instance.joined.add.A2"] != 1 {
		t.Errorf("told %v", heard)
	}
}

func TestStats_RefusesNonsense(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	for query, says := range map[string]string{
		"from=yesterday":  "query.from",
		"to=15m":          "query.to",
		"from=-1m&to=-2m": "query.to",
		"route=entry":     "query.route",
		"instance=A1":     "query.instance",

		"worker=add&route=entry.*.*":       "query.worker",
		"worker=add&instance=A1&from=soon": "query.from",
	} {
		p := r.must(422, "GET", "/v1/stats?"+query, "").problem(t)
		if len(p.Errors) != 1 || p.Errors[0].Location != says {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

// Several routes to one worker share its stream; each tells what waits of its own.
func TestNetwork_BacklogOfEachRoute(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "PUT", "/v1/workers/sink", `{"name":"sink","max_messages":"20","commands":[]}`)
	for name, commands := range map[string]string{
		"a1": `{"name":"t","worker":"sink","delivery":"durable"},{"name":"k","worker":"sink","delivery":"durable","key":"0"}`,
		"a2": `{"name":"t","worker":"sink","delivery":"durable"}`,
		"a3": `{"name":"t","worker":"sink","delivery":"durable","paused":true}`,
	} {
		r.must(201, "PUT", "/v1/workers/"+name, `{"name":"`+name+`","commands":[`+commands+`]}`)
	}
	store := func(subject string) bool {
		reply, err := r.nc.Request(subject, []byte(`["REQUEST","t","1"]`), 5*time.Second)
		return err == nil && !strings.Contains(string(reply.Data), `"error"`)
	}
	eventually(t, "the stream is there", func() bool { return store("damrey.job.sink.t.a1") })
	for _, subject := range []string{"damrey.job.sink.t.a1", "damrey.job.sink.k.a1.3", "damrey.job.sink.k.a1.12", "damrey.held.sink.t.a3.x1", "damrey.id.sink.abc"} {
		if !store(subject) {
			t.Fatalf("%s is not stored", subject)
		}
	}
	pending := func(n api.Network, from, typ string) uint64 {
		if d := edgeOf(n, from, typ, "sink").Durable; d != nil {
			return d.Pending
		}
		return 0
	}
	eventually(t, "each route has its own", func() bool {
		n := r.network()
		return pending(n, "a1", "t") == 2 && pending(n, "a1", "k") == 2 && pending(n, "a3", "t") == 1
	})
	if d := edgeOf(r.network(), "a2", "t", "sink").Durable; d.Pending != 0 || d.Unacked != 0 || d.Stored != 5 || d.Limit != 20 || d.Fill != 0.3 {
		t.Errorf("a route that was never used: %+v", *d)
	}
}
