package view

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/report"
)

// Metrics is what is counted since the view began.
type Metrics struct {
	Routes    []RouteMetrics
	Instances map[InstanceState]int
	InFlight  map[string]int // by worker
	Queued    map[string]int
	Stores    map[string]Store
	Dead      map[Key]uint64
	Refused   uint64 // beats
	Events    uint64
	Firing    int
}

// InstanceState is a worker, or an agent or proxy, and a state that some instance of it has.
type InstanceState struct{ Worker, State string }

// RouteMetrics is what is counted of one route, with its names as they stand in a label.
type RouteMetrics struct {
	Key
	Handled, Failed, Timeouts, Busy, Malformed, Sent, Undelivered uint64
	Wait, Work                                                    time.Duration // sums
	// Within counts by [Bounds] the messages that stayed less than that, cumulatively; Stayed are all of them.
	Within [len(Bounds)]uint64
	Stayed uint64
}

// Metrics are all there are, in their order.
func (v *View) Metrics(now Instant) Metrics {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	m := Metrics{
		Instances: make(map[InstanceState]int), InFlight: make(map[string]int), Queued: make(map[string]int),
		Stores: maps.Clone(v.stores), Dead: maps.Clone(v.dead), Refused: v.refusals.total, Events: v.journal.Last(), Firing: v.firing,
	}
	for _, i := range v.instances {
		m.Instances[InstanceState{i.key.worker, i.state}]++
		if !i.gone() && !daemon(i.key.worker) {
			m.InFlight[i.key.worker] += i.beat.InFlight
			m.Queued[i.key.worker] += i.beat.Queued
		}
	}
	m.Routes = v.routeMetrics()
	slices.SortFunc(m.Routes, func(a, b RouteMetrics) int {
		return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Type, b.Type), cmp.Compare(a.From, b.From))
	})
	m.Routes = merged(m.Routes)
	return m
}

// maxMetrics is how many routes metrics tell apart: each is dozens of lines.
const maxMetrics = 1000

// routeMetrics are of routes that carried something, first those of the table and then the busiest; the rest is one.
func (v *View) routeMetrics() []RouteMetrics {
	carried := make([]*route, 0, len(v.routes))
	for _, r := range v.routes {
		if r.total.traffic() {
			carried = append(carried, r)
		}
	}
	slices.SortFunc(carried, func(a, b *route) int {
		if a.declared != b.declared {
			if a.declared {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.total.busyness(), a.total.busyness()), cmp.Compare(a.key.String(), b.key.String()))
	})
	all := make([]RouteMetrics, 0, len(carried))
	for i, r := range carried {
		one := r.metrics()
		if i >= maxMetrics {
			one.Key = Key{label(report.Other), label(report.Other), label(report.Other)}
		}
		all = append(all, one)
	}
	return all
}

// merged adds up those whose labels are the same: what is told apart as other may also be somebody's name.
func merged(all []RouteMetrics) []RouteMetrics {
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].Key == r.Key {
			out[n-1].add(&r)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (m *RouteMetrics) add(o *RouteMetrics) {
	m.Handled, m.Failed, m.Timeouts, m.Busy = m.Handled+o.Handled, m.Failed+o.Failed, m.Timeouts+o.Timeouts, m.Busy+o.Busy
	m.Malformed, m.Sent, m.Undelivered = m.Malformed+o.Malformed, m.Sent+o.Sent, m.Undelivered+o.Undelivered
	m.Wait, m.Work, m.Stayed = m.Wait+o.Wait, m.Work+o.Work, m.Stayed+o.Stayed
	for i := range m.Within {
		m.Within[i] += o.Within[i]
	}
}

func (r *route) metrics() RouteMetrics {
	c := &r.total
	m := RouteMetrics{
		Key: Key{label(r.key.From), label(r.key.Type), label(r.key.To)}, Handled: c[handled], Failed: c[failed], Timeouts: c.late(), Busy: c[busy], Malformed: c[malformed],
		Sent: c[sent], Undelivered: c.lost(),
		Wait: time.Duration(c[waited]) * time.Microsecond, Work: time.Duration(c[worked]) * time.Microsecond,
	}
	for i, n := range r.bounds {
		m.Stayed += n
		if i < len(Bounds) {
			m.Within[i] = m.Stayed
		}
	}
	return m
}

// label is how a name stands in a metric.
func label(name string) string {
	if name == report.Other {
		return "other"
	}
	return name
}
