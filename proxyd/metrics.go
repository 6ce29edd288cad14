package proxyd

import (
	"cmp"
	"context"
	"net/http"
	"runtime"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/view"
)

// Names follow Prometheus's conventions: base units, counters end in _total.
var (
	routeLabels = []string{"worker", "type", "from"}

	descHandled     = describe("messages_handled_total", "Messages handled along a route, failed ones among them.", routeLabels...)
	descFailed      = describe("messages_failed_total", "Messages whose handler failed, panicked or answered an ERROR.", routeLabels...)
	descTimeouts    = describe("messages_timed_out_total", "Messages whose budget was used up.", routeLabels...)
	descBusy        = describe("messages_busy_total", "Messages refused since the queue was full.", routeLabels...)
	descMalformed   = describe("messages_malformed_total", "Messages that could not be read.", routeLabels...)
	descSent        = describe("messages_sent_total", "Messages published along a route.", routeLabels...)
	descUndelivered = describe("messages_undelivered_total", "Messages that nobody took after all attempts.", routeLabels...)
	descWait        = describe("message_wait_seconds_total", "Time that messages waited at the target before their handler.", routeLabels...)
	descWork        = describe("message_work_seconds_total", "Time that messages spent in their handler.", routeLabels...)
	descStay        = describe("message_stay_seconds", "How long messages stayed at the target, waiting and being handled.", routeLabels...)

	descOthers = describe("routes_in_other", "Routes without labels of their own, which are counted together as other.")

	descInstances = describe("instances", "Instances, agents and proxies by state; those that left or were lost for 15 minutes.", "worker", "state")
	descReady     = describe("ready_instances", "Ready instances of a registered worker, 0 when there is none.", "worker")
	descExpected  = describe("worker_expected", "1 if a registered worker needs an instance: routes lead to it, and it is not paused; else 0.", "worker")
	descInFlight  = describe("in_flight_messages", "Messages in handlers.", "worker")
	descQueued    = describe("queued_messages", "Messages that wait for room in mpu.", "worker")

	descStored      = describe("stored_messages", "Messages stored for a worker on durable routes.", "worker")
	descPending     = describe("pending_messages", "Stored messages that are not handed out.", "worker")
	descUnacked     = describe("unacked_messages", "Stored messages in an instance's hand.", "worker")
	descRedelivered = describe("redelivered_messages", "Stored messages in hand, handed out more than once.", "worker")
	descOldest      = describe("oldest_message_age_seconds", "Age of the oldest stored message.", "worker")
	descFill        = describe("store_fill_ratio", "Part of the worker's limits that is used.", "worker")
	descDead        = describe("dead_letters", "Dead letters of a route.", routeLabels...)

	descRefused = describe("beats_refused_total", "Beats that were forged or broken.")
	descEvents  = describe("events_total", "Events that the proxy saw.")
	descFiring  = describe("alarms_firing", "Alarms that fire, by rule and how bad it is.", "rule", "severity")
	descBuild   = describe("build_info", "Version of the proxy; always 1.", "version", "goversion", "fabric")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("damrey_"+name, help, labels, nil)
}

// collector makes metrics of the view when they are asked for.
type collector struct {
	seen            *observer
	version, prefix string
}

// Describe says nothing: which metrics there are depends on what there is.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect is what Prometheus asks for.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	m := c.seen.view.Metrics(c.seen.clock.Now())
	sample := func(kind prometheus.ValueType) func(*prometheus.Desc, float64, ...string) {
		return func(d *prometheus.Desc, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
		}
	}
	counter, gauge := sample(prometheus.CounterValue), sample(prometheus.GaugeValue)
	gauge(descBuild, 1, cmp.Or(c.version, "unknown"), runtime.Version(), c.prefix)
	counter(descRefused, float64(m.Refused))
	counter(descEvents, float64(m.Events))
	gauge(descOthers, float64(m.Others))
	for k, n := range everyRule(m.Firing) {
		gauge(descFiring, float64(n), k.Rule, k.Severity)
	}
	for i := range m.Routes {
		collectRoute(out, counter, &m.Routes[i])
	}
	for worker, w := range m.Workers {
		gauge(descReady, float64(w.Ready), worker)
		expected := 0.0
		if w.Expected {
			expected = 1
		}
		gauge(descExpected, expected, worker)
	}
	for k, n := range m.Instances {
		gauge(descInstances, float64(n), k.Worker, k.State)
	}
	for worker, n := range m.InFlight {
		gauge(descInFlight, float64(n), worker)
		gauge(descQueued, float64(m.Queued[worker]), worker)
	}
	for worker, s := range m.Stores {
		gauge(descStored, float64(s.Stored), worker)
		gauge(descPending, float64(s.Pending), worker)
		gauge(descUnacked, float64(s.Unacked), worker)
		gauge(descRedelivered, float64(s.Redelivered), worker)
		gauge(descOldest, s.Oldest.Seconds(), worker)
		gauge(descFill, s.Fill(), worker)
	}
	for k, n := range m.Dead {
		gauge(descDead, float64(n), k.To, k.Type, k.From)
	}
}

// everyRule adds the rules of which nothing fires, at 0. What another version's proxy calls otherwise is other.
func everyRule(firing map[view.Firing]int) map[view.Firing]int {
	all := make(map[view.Firing]int)
	rules := alarm.Names()
	for _, rule := range rules {
		for _, severity := range alarm.Severities {
			all[view.Firing{Rule: rule, Severity: severity}] = 0
		}
	}
	for k, n := range firing {
		if !slices.Contains(rules, k.Rule) {
			k.Rule = "other"
		}
		if !slices.Contains(alarm.Severities, k.Severity) {
			k.Severity = "other"
		}
		all[k] += n
	}
	return all
}

func collectRoute(out chan<- prometheus.Metric, counter func(*prometheus.Desc, float64, ...string), r *view.RouteMetrics) {
	labels := []string{r.To, r.Type, r.From}
	counter(descHandled, float64(r.Handled), labels...)
	counter(descFailed, float64(r.Failed), labels...)
	counter(descTimeouts, float64(r.Timeouts), labels...)
	counter(descBusy, float64(r.Busy), labels...)
	counter(descMalformed, float64(r.Malformed), labels...)
	counter(descSent, float64(r.Sent), labels...)
	counter(descUndelivered, float64(r.Undelivered), labels...)
	counter(descWait, r.Wait.Seconds(), labels...)
	counter(descWork, r.Work.Seconds(), labels...)
	within := make(map[float64]uint64, len(view.Bounds))
	for i, bound := range view.Bounds {
		within[bound.Seconds()] = r.Within[i]
	}
	out <- prometheus.MustNewConstHistogram(descStay, r.Stayed, (r.Wait + r.Work).Seconds(), within, labels...)
}

// routeMetrics serves GET /metrics.
func (p *Proxy) routeMetrics(a huma.API) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{seen: p.seen, version: p.cfg.Version, prefix: p.cfg.Prefix},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	huma.Register(a, huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"health"},
		Summary: "Metrics of the fabric for Prometheus",
		Responses: map[string]*huma.Response{"200": {
			Description: "Prometheus's text format", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			handler.ServeHTTP(w, r)
		}}, nil
	})
}
