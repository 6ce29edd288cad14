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
	Workers   map[string]Readiness // that are registered
	Others    int                  // routes that are counted together
	Refused   uint64               // beats
	Events    uint64
	Firing    map[Firing]int
}

// Readiness is how many instances of a worker are ready, and whether there should be one: routes lead to it, and it is not paused.
type Readiness struct {
	Ready    int
	Expected bool
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
		Stores: maps.Clone(v.stores), Refused: v.refusals.total, Events: v.journal.Last(), Firing: maps.Clone(v.firing),
	}
	for _, i := range v.instances {
		m.Instances[InstanceState{i.key.worker, i.state}]++
		if !i.gone() && !daemon(i.key.worker) {
			m.InFlight[i.key.worker] += i.beat.InFlight
			m.Queued[i.key.worker] += i.beat.Queued
		}
	}
	m.Workers = v.readiness()
	v.labels.decide(v)
	m.Routes, m.Dead = v.routeMetrics(), v.deadMetrics()
	for key := range v.routes {
		if own, decided := v.labels.routes[key]; decided && !own {
			m.Others++
		}
	}
	return m
}

// readiness is of the first of the registered workers; there is one line of each.
func (v *View) readiness() map[string]Readiness {
	workers := make(map[string]Readiness)
	for _, row := range v.table.Rows() {
		if len(workers) == MaxInstances {
			break
		}
		workers[row.Registration.Name] = Readiness{}
	}
	for _, d := range v.declared {
		if w, ok := workers[d.key.To]; ok {
			w.Expected = !v.table.Row(d.key.To).Registration.Paused
			workers[d.key.To] = w
		}
	}
	for _, i := range v.instances {
		if w, ok := workers[i.key.worker]; ok && i.state == string(report.Ready) {
			w.Ready++
			workers[i.key.worker] = w
		}
	}
	return workers
}

// routeMetrics are of the routes with labels of their own, in their order; the rest is one.
func (v *View) routeMetrics() []RouteMetrics {
	all := make([]RouteMetrics, 0, len(v.labels.routes)+1)
	rest := v.labels.rest
	for key, own := range v.labels.routes {
		if own {
			var t tally
			if r := v.routes[key]; r != nil {
				t = r.total
			}
			all = append(all, t.metrics(key))
		}
	}
	for key, r := range v.routes {
		if !v.labels.routes[key] {
			rest.add(&r.total)
		}
	}
	if rest.traffic() {
		all = append(all, rest.metrics(otherKey))
	}
	slices.SortFunc(all, func(a, b RouteMetrics) int {
		return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Type, b.Type), cmp.Compare(a.From, b.From))
	})
	return merged(all)
}

// deadMetrics are the dead letters of the routes with labels of their own; the rest is one.
func (v *View) deadMetrics() map[Key]uint64 {
	dead := make(map[Key]uint64, len(v.labels.dead)+1)
	for key, own := range v.labels.dead {
		if own {
			dead[labelled(key)] += v.dead[key]
		}
	}
	for key, n := range v.dead {
		if !v.labels.dead[key] {
			dead[labelled(otherKey)] += n
		}
	}
	return dead
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

func (t *tally) metrics(key Key) RouteMetrics {
	c := &t.counts
	m := RouteMetrics{
		Key: labelled(key), Handled: c[handled], Failed: c[failed], Timeouts: c.late(), Busy: c[busy], Malformed: c[malformed],
		Sent: c[sent], Undelivered: c.lost(),
		Wait: time.Duration(c[waited]) * time.Microsecond, Work: time.Duration(c[worked]) * time.Microsecond,
	}
	for i, n := range t.bounds {
		m.Stayed += n
		if i < len(Bounds) {
			m.Within[i] = m.Stayed
		}
	}
	return m
}

// labelled is how a route stands in a metric.
func labelled(k Key) Key { return Key{label(k.From), label(k.Type), label(k.To)} }

// label is how a name stands in a metric.
func label(name string) string {
	if name == report.Other {
		return "other"
	}
	return name
}
