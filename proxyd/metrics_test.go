package proxyd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/proxyd"
)

// metrics reads /metrics with Prometheus's own parser; samples by the name of the metric.
func (r *rig) metrics() map[string][]*model.Sample {
	r.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(r.must(200, "GET", "/metrics", "").body))
	if err != nil {
		r.t.Fatal(err)
	}
	samples := make(map[string][]*model.Sample)
	for _, family := range families {
		vector, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.Now()}, family)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, s := range vector {
			name := string(s.Metric[model.MetricNameLabel])
			samples[name] = append(samples[name], s)
		}
	}
	return samples
}

// busyRig has everything that there are metrics of.
func busyRig(t *testing.T) *rig {
	r := newRig(t, proxyd.Config{Version: "1.2.3"})
	r.must(201, "PUT", "/v1/workers/entry", `{"name":"entry","commands":[{"name":"add","worker":"add","delivery":"durable"}]}`)
	r.must(201, "PUT", "/v1/workers/add", `{"name":"add","max_messages":"10","commands":[]}`)
	add := r.beater("add", "A1")
	add.send()
	add.handle("entry", "add", 90, 9, 100*time.Microsecond)
	add.handle("entry", "add", 10, 1, 3*time.Second)
	add.send()
	eventually(t, "the stream is there", func() bool {
		return r.nc.Publish("damrey.dead.add.add.entry", []byte(`["REQUEST","add"]`)) == nil && len(r.metrics()["damrey_dead_letters"]) > 0
	})
	stored := 0
	eventually(t, "seven are stored", func() bool {
		if _, err := r.nc.Request("damrey.job.add.add.entry", []byte(`["REQUEST","add","1"]`), 5*time.Second); err == nil {
			stored++
		}
		return stored == 7
	})
	eventually(t, "what is stored is seen", func() bool {
		stored := r.metrics()["damrey_stored_messages"]
		return len(stored) == 1 && stored[0].Value == 7
	})
	return r
}

func TestMetrics_AsPrometheusReadsThem(t *testing.T) {
	t.Parallel()
	r := busyRig(t)
	samples := r.metrics()
	problems, err := promlint.New(strings.NewReader(r.must(200, "GET", "/metrics", "").body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if n := samples["damrey_message_stay_seconds_count"]; len(n) != 1 || n[0].Value != 100 {
		t.Errorf("%v", n)
	}
	if sum := samples["damrey_message_stay_seconds_sum"][0].Value; sum < 30 || sum > 31 {
		t.Errorf("%v", sum)
	}
	buckets := samples["damrey_message_stay_seconds_bucket"]
	for _, b := range buckets {
		bound, err := strconv.ParseFloat(string(b.Metric["le"]), 64)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		switch {
		case bound > 4:
			want = 100
		case bound > 0.0001:
			want = 90
		}
		if int(b.Value) != want {
			t.Errorf("%v within %v s, not %v", b.Value, bound, want)
		}
	}
	if len(buckets) < 10 {
		t.Errorf("%d buckets", len(buckets))
	}
	handled := samples["damrey_messages_handled_total"][0]
	if m := handled.Metric; m["from"] != "entry" || m["type"] != "add" || m["worker"] != "add" || handled.Value != 100 {
		t.Errorf("%v", handled)
	}
	if fill := samples["damrey_store_fill_ratio"][0].Value; fill != 0.7 {
		t.Errorf("fill %v", fill)
	}
	for _, own := range []string{"go_goroutines", "process_resident_memory_bytes", "process_open_fds"} {
		if s := samples[own]; len(s) != 1 || s[0].Value == 0 {
			t.Errorf("%s of the proxy is %v", own, s)
		}
	}
	var d *api.Backlog
	eventually(t, "the network has it too, which is made every two seconds", func() bool {
		d = edgeOf(r.network(), "entry", "add", "add").Durable
		return d != nil && d.Stored == 7
	})
	if d.Pending != 7 || d.Limit != 10 || d.Fill != 0.7 || d.OldestAge <= 0 || d.Dead == 0 {
		t.Errorf("%+v", d)
	}
}

func TestMetrics_TenThousandTypesStayBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	for n := range 100 {
		b := r.beater(fmt.Sprintf("w%d", n), "A")
		for i := range 100 {
			b.beat.In = append(b.beat.In, report.In{From: "entry", Type: fmt.Sprintf("t%d", i), Handled: 1})
		}
		b.send()
	}
	eventually(t, "all are counted", func() bool {
		sum, n, other := 0.0, 0, false
		for _, m := range r.metrics()["damrey_messages_handled_total"] {
			n++
			sum += float64(m.Value)
			other = other || m.Metric["type"] == "other"
		}
		if n > 801 { // as many that are not in the table have labels of their own
			t.Fatalf("%d series", n)
		}
		return sum == 10_000 && other && n == 801
	})
}

// expressions are those of deploy/, by where they stand; Grafana's variables are filled in.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	read := func(file string, parse func([]byte, any) error, into any) {
		data, err := os.ReadFile(filepath.Join("..", "deploy", file))
		if err == nil {
			err = parse(data, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	var alerts struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	read("alerts.yml", yaml.Unmarshal, &alerts)
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			all["alert "+rule.Alert] = rule.Expr
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	read("grafana.json", json.Unmarshal, &board)
	fill := strings.NewReplacer("$__rate_interval", "1m", "$worker", "add")
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+", "+target.RefID] = fill.Replace(target.Expr)
		}
	}
	return all
}

// Whatever deploy/ asks for is there, with the labels by which it is asked for.
func TestMetrics_HaveWhatTheDashboardAndTheAlertsAskFor(t *testing.T) {
	t.Parallel()
	samples := busyRig(t).metrics()
	all := expressions(t)
	if len(all) < 30 {
		t.Errorf("%d expressions only", len(all))
	}
	for where, text := range all {
		expr, err := parser.ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			switch n := node.(type) {
			case *parser.VectorSelector:
				if len(samples[n.Name]) == 0 {
					t.Errorf("%s asks for %s, which is not told", where, n.Name)
					break
				}
				for _, m := range n.LabelMatchers {
					if _, ok := samples[n.Name][0].Metric[model.LabelName(m.Name)]; !ok {
						t.Errorf("%s asks for the label %s, which %s has not", where, m.Name, n.Name)
					}
				}
			case *parser.AggregateExpr:
				for _, name := range missing(n, samples) {
					t.Errorf("%s groups by %s: %s", where, name, n)
				}
			}
			return nil
		})
	}
}

// missing are the labels that an expression groups by though nothing in it has them.
func missing(group *parser.AggregateExpr, samples map[string][]*model.Sample) []string {
	has := make(map[string]bool)
	parser.Inspect(group.Expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok && len(samples[s.Name]) > 0 {
			for name := range samples[s.Name][0].Metric {
				has[string(name)] = true
			}
		}
		return nil
	})
	return slices.DeleteFunc(slices.Clone(group.Grouping), func(name string) bool { return has[name] })
}

func TestMetrics_WorkersAndAlarms(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "PUT", "/v1/workers/entry", `{"name":"entry","commands":[{"name":"add","worker":"add"}]}`)
	r.must(201, "PUT", "/v1/workers/add", `{"name":"add","commands":[]}`)
	of := func(name string, labels model.LabelSet) int {
		for _, s := range r.metrics()[name] {
			delete(s.Metric, model.MetricNameLabel)
			if model.LabelSet(s.Metric).Equal(labels) {
				return int(s.Value)
			}
		}
		return -1
	}
	firing := model.LabelSet{"rule": "no_instance", "severity": "critical"}
	if n := of("damrey_alarms_firing", firing); n != 0 {
		t.Errorf("%d fire at once", n)
	}
	is := func(ready, expected, sender int) {
		t.Helper()
		eventually(t, "the instances are told", func() bool {
			return of("damrey_ready_instances", model.LabelSet{"worker": "add"}) == ready &&
				of("damrey_worker_expected", model.LabelSet{"worker": "add"}) == expected &&
				of("damrey_worker_expected", model.LabelSet{"worker": "entry"}) == sender
		})
	}
	is(0, 1, 0)
	r.beater("add", "A1").send()
	is(1, 1, 0)
	r.must(200, "DELETE", "/v1/workers/entry", "")
	is(1, 0, -1)
}
