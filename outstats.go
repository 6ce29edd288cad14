package damrey

import (
	"sync/atomic"

	"github.com/damrey/damrey/internal/report"
)

// outRoute counts what was sent along one route. A nil one counts nothing.
type outRoute struct {
	from, typ, to string

	sent, timeouts, stopped, undelivered atomic.Uint64
}

// outRoutes are the counters of all routes that a link sends along. Nil: none
// is counted.
type outRoutes struct {
	*bounded[outKey, outRoute]
}

type outKey struct{ from, typ, to string }

// outPlace is where a route of the table remembers its counters.
type outPlace = atomic.Pointer[outRoute]

func newOutRoutes() *outRoutes {
	return &outRoutes{newBounded[outKey](&outRoute{from: report.Other, typ: report.Other, to: report.Other})}
}

// of is for a route of the table.
func (s *outRoutes) of(r *Route) *outRoute {
	if s == nil {
		return nil
	}
	if r.counts != nil {
		if known := r.counts.Load(); known != nil {
			return known
		}
	}
	key := outKey{r.From, r.Type, r.To}
	out := s.find(key)
	if out == nil {
		out = s.add(key, &outRoute{from: r.From, typ: r.Type, to: r.To})
	}
	if r.counts != nil {
		r.counts.Store(out)
	}
	return out
}

func (o *outRoute) left(messages int) {
	if o != nil {
		o.sent.Add(uint64(messages))
	}
}

// answered counts how a request ended that was begun along a route. A STOP from
// further on is counted there.
func (s *outRoutes) answered(r *Route, a answer, tag string) {
	if tag == STOP && a.from != nil && a.from.Header.Get(headerWhere) != r.String() {
		return
	}
	s.of(r).ended(tag)
}

// ended counts how a request ended, by its answer's tag.
func (o *outRoute) ended(tag string) {
	if o == nil {
		return
	}
	switch tag {
	case STOP:
		o.stopped.Add(1)
	case TIMEOUT:
		o.timeouts.Add(1)
	}
}

func (o *outRoute) lost(messages int) {
	if o != nil {
		o.undelivered.Add(uint64(messages))
	}
}

func (o *outRoute) snapshot() report.Out {
	return report.Out{
		From: o.from, Type: o.typ, To: o.to,
		Sent: o.sent.Load(), Timeouts: o.timeouts.Load(), Stopped: o.stopped.Load(), Undelivered: o.undelivered.Load(),
	}
}

// snapshot leaves out what nothing was sent along. Routes of the worker own are
// told without their beginning.
func (s *outRoutes) snapshot(own string) (all []report.Out) {
	if s == nil {
		return nil
	}
	for _, o := range s.all() {
		out := o.snapshot()
		if out.Sent|out.Timeouts|out.Stopped|out.Undelivered == 0 {
			continue
		}
		if own != "" {
			out.From = ""
		}
		all = append(all, out)
	}
	return all
}
