package alarm

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// known is when everything is known and all is well.
func known() Facts {
	return Facts{
		At: begin, Since: begin.Add(-time.Hour), Window: 15,
		Nodes: []api.Node{{Name: "a", Registered: true, Ready: 1, Instances: 1}, {Name: "b", Registered: true, Ready: 1, Instances: 1}},
		Edges: []api.Edge{{From: "a", Type: "t", To: "b", Declared: true, Flow: api.Flow{Handled: 1000, P99: 20}}},
		Instances: []api.Instance{
			{Worker: "a", ID: "A1", Host: "h1", State: "ready", Started: begin.Add(-time.Hour), Heard: begin},
			{Worker: "b", ID: "B1", Host: "h2", State: "ready", Started: begin.Add(-time.Hour), Heard: begin},
		},
		Agents:   []api.Agent{{Name: "10.0.0.1:4222", Host: "h1", Held: true, Renewed: begin}},
		Disks:    []Disk{{Name: "/data", Used: 50, Total: 100}},
		Replicas: []Replica{{Stream: "S", Server: "n2"}},
	}
}

func TestFind_SaysNothingWhenAllIsWell(t *testing.T) {
	t.Parallel()
	found, unknown := Standard().find(known())
	if len(found)+len(unknown) > 0 {
		t.Errorf("%+v, unknown %v", found, unknown)
	}
	if found, unknown := Standard().find(Facts{At: begin}); len(found) > 0 || len(unknown) != len(kinds) {
		t.Errorf("of nothing: %+v, unknown %v", found, unknown)
	}
}

func TestFind_Rules(t *testing.T) {
	t.Parallel()
	lost := func(id string) api.Instance {
		return api.Instance{Worker: "b", ID: id, Host: "h2", PID: 7, State: "lost", Started: begin.Add(-time.Hour), Heard: begin.Add(-time.Minute)}
	}
	edge := func(change func(*api.Edge)) func(*Facts) { return func(f *Facts) { change(&f.Edges[0]) } }
	durable := func(b api.Backlog) func(*Facts) {
		return func(f *Facts) {
			f.Edges[0].Durable = &b
			f.Edges = append(f.Edges, f.Edges[0]) // another route to the same worker
			f.Edges[1].From = "c"
			f.Edges[1].Durable = &api.Backlog{Stored: b.Stored, Fill: b.Fill, OldestAge: b.OldestAge}
		}
	}
	for _, c := range []struct {
		what   string
		change func(*Facts)
		want   []string // id, and what is in the text or the advice
	}{
		{"no instance", func(f *Facts) { f.Nodes[1].Ready, f.Nodes[1].Instances = 0, 0 }, []string{"no_instance:b", "worker b: routes lead to it, and it has no instance"}},
		{"no instance of one that only sends", func(f *Facts) { f.Nodes[0].Ready, f.Nodes[0].Instances = 0, 0 }, nil},
		{"none ready", func(f *Facts) { f.Nodes[1].Ready, f.Nodes[1].Agent = 0, "10.0.0.9:4222" }, []string{"no_instance:b", "1 instance, but none is ready; it is pinned to the agent 10.0.0.9:4222"}},
		{"paused", func(f *Facts) { f.Nodes[1].Ready, f.Nodes[1].Paused = 0, true }, nil},
		{"lost", func(f *Facts) { f.Instances = append(f.Instances, lost("B2"), lost("B3")) }, []string{"instance_lost:b", "2 instances of worker b fell silent and were not replaced: B2 (pid 7 on h2), B3"}},
		{"lost and replaced", func(f *Facts) { f.Instances = append(f.Instances, lost("B2")); f.Instances[1].Started = begin }, nil},
		{"replaced, with a clock that is behind", func(f *Facts) {
			f.Instances = append(f.Instances, lost("B2"))
			f.Instances[1].Started, f.Instances[1].Skew = begin.Add(-80*time.Second), -1.9
		}, []string{"instance_lost:b"}},
		{"lost long ago", func(f *Facts) {
			f.Instances = append(f.Instances, lost("B2"))
			f.Instances[2].Heard = begin.Add(-10 * time.Minute)
		}, nil},
		{"agent", func(f *Facts) { f.Agents[0].Held = false; f.Agents[0].Renewed = begin.Add(-time.Minute) }, []string{"agent_lost:10.0.0.1:4222", "damrey agent -a 10.0.0.1:4222", "on h1"}},
		{"agent long ago", func(f *Facts) { f.Agents[0].Held = false; f.Agents[0].Renewed = begin.Add(-25 * time.Hour) }, nil},
		{"no worker", func(f *Facts) { f.Nodes[1].Registered = false }, []string{"no_worker:a→t→b", "damrey worker add b"}},
		{"observed only", func(f *Facts) { f.Nodes[1].Registered = false; f.Edges[0].Declared = false }, nil},
		{"errors", edge(func(e *api.Edge) { e.Failed, e.LastError = 60, "no luck" }), []string{"errors:a→t→b", `"no luck"; 6 % of 1000 messages of a→t→b failed in the last 15 s`}},
		{"few errors", edge(func(e *api.Edge) { e.Failed, e.Handled = 4, 4 }), nil},
		{"timeouts", edge(func(e *api.Edge) { e.Timeouts = 100 }), []string{"timeouts:a→t→b", "9.09 % of 1100 messages"}},
		{"busy", edge(func(e *api.Edge) { e.Busy = 500 }), []string{"busy:a→t→b", "damrey worker chg b --mpu N"}},
		{"slow", edge(func(e *api.Edge) { e.P99 = 3000 }), []string{"slow:a→t→b", "stays 3000 ms or longer"}},
		{"slower than before", func(f *Facts) { f.Edges[0].P99 = 400; f.Typical = map[string]float64{"a→t→b": 50} }, []string{"slow:a→t→b", "8 times that of the last hour"}},
		{"slower, but quick", func(f *Facts) { f.Edges[0].P99 = 40; f.Typical = map[string]float64{"a→t→b": 5} }, nil},
		{"slow, but few", edge(func(e *api.Edge) { e.P99, e.Handled = 3000, 3 }), nil},
		{"undelivered", edge(func(e *api.Edge) { e.Undelivered = 1 }), []string{"undelivered:a→t→b", "1 message of a→t→b reached nobody"}},
		{"full", durable(api.Backlog{Stored: 90, Limit: 100, Fill: 0.9}), []string{"backlog:b", "90 % of what may be stored for worker b"}},
		{"many", durable(api.Backlog{Stored: 200_000}), []string{"backlog:b", "200000 messages are stored"}},
		{"old", durable(api.Backlog{Stored: 2, OldestAge: 400}), []string{"backlog_age:b", "is 400 s old"}},
		{"dead", durable(api.Backlog{Dead: 2}), []string{"dead_letters:a→t→b", "there are 2 dead letters", "damrey dead ls --from a --type t"}},
		{"skew", func(f *Facts) { f.Instances[1].Skew = -5 }, []string{"clock_skew:h2", "machine h2 is 5.0 s behind the proxy's"}},
		{"skew of a machine without workers", func(f *Facts) {
			f.Daemons = []api.Instance{{Worker: "damrey-agent", Host: "h1", State: "standby"}, {Worker: "damrey-proxy", Host: "h9", State: "ready", Skew: 7},
				{Worker: "damrey-agent", Host: "h8", State: "lost", Skew: 9}}
		}, []string{"clock_skew:h9", "machine h9 is 7.0 s ahead of the proxy's"}},
		{"the proxy's clock", func(f *Facts) {
			f.Instances = append(f.Instances, api.Instance{Worker: "c", Host: "h3", State: "ready", Skew: 60})
			f.Instances[0].Skew, f.Instances[1].Skew = 60, 60.5
		}, []string{"clock_skew:proxy", "the proxy's machine is 60.0 s behind most others"}},
		{"disk", func(f *Facts) { f.Disks[0].Used = 95 }, []string{"disk:/data", "95 % full: 95 B of 100 B"}},
		{"disk that cannot be written", func(f *Facts) { f.Disks[0].Trouble = "no space left on device" }, []string{"disk:/data", "cannot store anything: no space left"}},
		{"disk without a bound", func(f *Facts) { f.Disks[0].Total = 0 }, nil},
		{"replica behind", func(f *Facts) { f.Replicas[0].Lag = 5000 }, []string{"replica:n2", "behind with the copies of 1 stream, by up to 5000 messages (S)"}},
		{"replica that hangs", func(f *Facts) { f.Replicas[0].Silent = 12 * time.Second }, []string{"replica:n2", "server n2 hangs or cannot be reached by others: for 12 s it has not taken part in the copies of 1 stream (S)"}},
		{"replica that was busy", func(f *Facts) { f.Replicas[0].Silent = 9 * time.Second }, nil},
		{"replica away", func(f *Facts) { f.Replicas[0].Offline = true }, []string{"replica:n2", "server n2 is away"}},
	} {
		f := known()
		c.change(&f)
		all, _ := Standard().find(f)
		var ids []string
		for _, a := range all {
			ids = append(ids, a.id())
			if a.Text == "" || a.Do == "" {
				t.Errorf("%s: says nothing: %+v", c.what, a)
			}
		}
		if len(c.want) == 0 {
			if len(all) > 0 {
				t.Errorf("%s: %v", c.what, ids)
			}
			continue
		}
		if !slices.Equal(ids, c.want[:1]) {
			t.Errorf("%s: %v, not %v", c.what, ids, c.want[:1])
			continue
		}
		for _, part := range c.want[1:] {
			if !strings.Contains(all[0].Text+" "+all[0].Do+" "+all[0].Hint, part) {
				t.Errorf("%s: %q, %q and %q do not say %q", c.what, all[0].Text, all[0].Do, all[0].Hint, part)
			}
		}
	}
}

// Each rule of the table above, and no other.
func TestKinds_HaveSaneStandards(t *testing.T) {
	t.Parallel()
	want := []string{"no_instance", "instance_lost", "agent_lost", "no_worker", "errors", "timeouts", "slow", "busy", "backlog",
		"backlog_age", "dead_letters", "undelivered", "clock_skew", "disk", "replica"}
	if got := Names(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for _, r := range Standard().Rules() {
		d := r.Document()
		if !d.Enabled || d.Changed || d.Meaning == "" || !slices.Contains(Severities, d.Severity) {
			t.Errorf("%+v", d)
		}
		again, err := Parse(api.AlarmRuleChange{Name: d.Name, Enabled: &d.Enabled, Severity: d.Severity, Limits: d.Limits, For: d.For, Keep: d.Keep})
		if err != nil {
			t.Errorf("%s: its own document is refused: %v", d.Name, err)
			continue
		}
		back := again.Document()
		if back.For != d.For || back.Keep != d.Keep || back.Severity != d.Severity || !maps.Equal(back.Limits, d.Limits) {
			t.Errorf("%+v, not %+v", back, d)
		}
	}
}

func TestHistory_KnowsWhatIsTypical(t *testing.T) {
	t.Parallel()
	h := NewHistory()
	add := func(d time.Duration, p99 float64) (typical float64) {
		for ; d > 0; d -= 2 * time.Second {
			f := known()
			f.Edges[0].P99 = p99
			h.Add(&f, 2*time.Second)
			typical = f.Typical["a→t→b"]
		}
		return typical
	}
	if got := add(14*time.Minute, 20); got != 0 {
		t.Errorf("%v is typical though little is known", got)
	}
	if got := add(10*time.Minute, 20); got != 20 {
		t.Errorf("%v is typical", got)
	}
	if got := add(10*time.Minute, 500); got != 20 {
		t.Errorf("%v is typical after ten minutes of 500", got)
	}
	if got := add(2*time.Hour, 500); got != 500 {
		t.Errorf("%v is typical after two hours of 500", got)
	}
	f := known()
	h.Add(&f, 1000*time.Hour) // a clock that jumps
	h.Add(&f, -1000*time.Hour)
	if got := add(2*time.Second, 500); got != 500 {
		t.Errorf("%v is typical after a jump", got)
	}
	for range 70 * 30 {
		f := Facts{}
		h.Add(&f, 2*time.Second)
	}
	if len(h.routes) != 0 {
		t.Errorf("%d routes are kept of which nothing was heard for an hour", len(h.routes))
	}
}

func TestFactsOf_TakesTheDocuments(t *testing.T) {
	t.Parallel()
	k := known()
	f := FactsOf(api.Network{At: k.At, Since: k.Since, Window: 15, Nodes: k.Nodes, Edges: k.Edges},
		api.InstanceList{Instances: k.Instances}, api.AgentList{Agents: k.Agents})
	f.Nodes[1].Ready = 0
	all, unknown := Standard().find(f)
	if len(all) != 1 || all[0].id() != "no_instance:b" || !unknown["disk"] || !unknown["replica"] || len(unknown) != 2 {
		t.Errorf("%+v, unknown %v", all, unknown)
	}
}

func TestFind_WhoMayNotHaveBeenHeardIsNotJudged(t *testing.T) {
	t.Parallel()
	f := known()
	f.Nodes[1].Ready, f.Nodes[1].Health = 0, api.HealthUnknown
	if all, unknown := Standard().find(f); len(all) != 0 || !unknown["no_instance"] {
		t.Errorf("%+v, unknown %v", all, unknown)
	}
}

func TestFind_AClockThatIsMoreThanADayAway(t *testing.T) {
	t.Parallel()
	f := known()
	f.Instances[0].Skew = -86400
	if all, _ := Standard().find(f); len(all) != 1 || !strings.Contains(all[0].Text, "is more than a day behind") {
		t.Errorf("%+v", all)
	}
}
