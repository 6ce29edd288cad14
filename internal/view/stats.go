package view

import (
	"cmp"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// MaxSeries is how many routes or instances one answer has.
const MaxSeries = 200

// Query asks for series.
type Query struct {
	From, To time.Time
	// Route whose parts may each be "*". Nil: everything together.
	Route *Key
	// Worker asks for its instances instead, or for the one whose id Instance is.
	Worker, Instance string
}

// Stats are the series of a query, of the first routes or instances that match.
func (v *View) Stats(now Instant, q Query) api.StatsAnswer {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	s := series{now: now, began: v.began, from: now.Run - now.Wall.Sub(q.From), to: now.Run - now.Wall.Sub(q.To), step: coarseStep}
	if q.Worker != "" {
		s.from, s.to = max(s.from, now.Run-fineTime), max(s.to, now.Run-fineTime)
	}
	if s.from >= now.Run-fineTime-fineStep {
		s.step = fineStep
	}
	answer := api.StatsAnswer{Step: s.step.Seconds(), Since: v.since, Series: []api.Series{}}
	answer.From, answer.To = s.at(int64(s.from/s.step)), s.at(int64(s.to/s.step)+1)
	if q.Worker != "" {
		answer.Series = v.pasts(&s, q)
		return answer
	}
	for _, r := range v.matching(q.Route) {
		answer.Series = append(answer.Series, api.Series{
			From: r.key.From, Type: r.key.Type, To: r.key.To, Points: s.points(r), LastErrors: r.failures.list(now),
		})
	}
	return answer
}

// pasts are the series of instances.
func (v *View) pasts(s *series, q Query) []api.Series {
	found := v.sorted(func(i *instance) bool {
		return i.key.worker == q.Worker && !daemon(q.Worker) && (q.Instance == "" || i.key.id == q.Instance)
	})
	all := make([]api.Series, 0, len(found))
	for _, i := range found[:min(len(found), MaxSeries)] {
		all = append(all, api.Series{From: anyType, Type: anyType, To: i.key.worker, Instance: i.key.id, Points: s.past(&i.past)})
	}
	return all
}

func (v *View) matching(k *Key) []*route {
	if k == nil {
		return []*route{v.all}
	}
	matches := func(pattern, name string) bool { return pattern == anyType || pattern == name }
	var found []*route
	for key, r := range v.routes {
		if matches(k.From, key.From) && matches(k.Type, key.Type) && matches(k.To, key.To) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *route) int {
		return cmp.Or(cmp.Compare(a.key.From, b.key.From), cmp.Compare(a.key.Type, b.key.Type), cmp.Compare(a.key.To, b.key.To))
	})
	return found[:min(len(found), MaxSeries)]
}

// series makes points of what lies between two moments.
type series struct {
	now      Instant
	began    time.Duration // the view
	from, to time.Duration
	step     time.Duration
}

// at is when a step begins.
func (s *series) at(n int64) time.Time {
	return s.now.wallAt(time.Duration(n) * s.step).Round(time.Second)
}

func (s *series) points(r *route) []api.Point {
	points := []api.Point{}
	t, steps := &r.coarse, r.minute[:]
	if s.step == fineStep {
		t, steps = &r.fine, r.recent[:]
	}
	for rec := range t.steps() {
		if t.exact {
			rec.at = percentilesOf(rec.stay)
		}
		points = s.point(points, &rec)
	}
	for n := int64(s.now.Run/s.step) - int64(len(steps)); n <= int64(s.now.Run/s.step); n++ {
		if n < 0 {
			continue
		}
		if o := &steps[n%int64(len(steps))]; o.used && o.n == n {
			rec := o.record(nil)
			points = s.point(points, &rec)
		}
	}
	return points
}

// past are the points of an instance.
func (s *series) past(p *past) []api.Point {
	points := []api.Point{}
	add := func(r record) {
		had := len(points)
		points = s.point(points, &r)
		for n := range points[had:] {
			point := &points[had+n]
			point.InFlight, point.Queued = &r.load.inFlight, &r.load.queued
			point.Wait, point.Work = nil, nil
		}
	}
	for r := range p.tape.steps() {
		add(r)
	}
	if !p.empty() {
		add(p.record(nil))
	}
	return points
}

// late is how long after a step beats may come that tell of it.
const late = report.Every + report.Every/5

func (s *series) point(points []api.Point, r *record) []api.Point {
	if r.step < int64(s.from/s.step) || r.step > int64(s.to/s.step) {
		return points
	}
	begin, end := time.Duration(r.step)*s.step, time.Duration(r.step+1)*s.step
	p := api.Point{At: s.at(r.step), Flow: r.flow(r.at), Stored: r.counts[stored], Unfinished: s.now.Run < end+late}
	if s.step == fineStep {
		p.Wait, p.Work = &p.Flow.Wait, &p.Flow.Work
	}
	seen := min(end, s.now.Run) - max(begin, s.began)
	p.Rate = round(float64(p.Handled) / max(seen, time.Second).Seconds())
	return append(points, p)
}
