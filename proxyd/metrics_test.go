package proxyd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
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
		if n > 4001 {
			t.Fatalf("%d series", n)
		}
		return sum == 10_000 && other
	})
}

// Whatever deploy/ asks for is there.
func TestMetrics_HaveWhatTheDashboardAndTheAlertsAskFor(t *testing.T) {
	t.Parallel()
	samples := busyRig(t).metrics()
	name := regexp.MustCompile(`damrey_[a-z_]+`)
	for file, parse := range map[string]func([]byte) error{
		"grafana.json": func(data []byte) error { var v map[string]any; return json.Unmarshal(data, &v) },
		"alerts.yml":   func(data []byte) error { var v map[string]any; return yaml.Unmarshal(data, &v) },
	} {
		data, err := os.ReadFile(filepath.Join("..", "deploy", file))
		if err == nil {
			err = parse(data)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		asked := name.FindAllString(string(data), -1)
		for _, n := range asked {
			if samples[n] == nil {
				t.Errorf("%s asks for %s, which is not told", file, n)
			}
		}
		if len(asked) < 10 {
			t.Errorf("%s asks for %v only", file, asked)
		}
	}
}
