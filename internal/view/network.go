package view

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// Network is the fabric as it was in the last seconds.
func (v *View) Network(now Instant) api.Network {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	v.rates()
	p := &picture{view: v, now: now, nodes: make(map[string]*node), inHand: make(map[Key]int)}
	p.addTable()
	p.addInstances()
	p.addRoutes()
	p.addDefaults()
	return p.network()
}

// rates sets the rate of every route from the instances that take its messages.
func (v *View) rates() {
	for _, r := range v.routes {
		r.rate = 0
	}
	for _, i := range v.instances {
		t := i.time()
		if i.gone() || t <= 0 {
			continue
		}
		for _, p := range i.order {
			if p.route != nil {
				p.route.rate += p.rate(t)
			}
		}
	}
}

// picture is a network in the making.
type picture struct {
	view  *View
	now   Instant
	nodes map[string]*node
	edges []*edge
	sum   sum              // of the route in hand
	room  report.Histogram // what it comes to

	inHand map[Key]int // in handlers, by route
}

// node is a worker with what its health is judged by.
type node struct {
	api.Node
	counts        // in the window, of its instances
	stay     sum  // of the routes to it
	used     bool // a route leads to it
	heard    bool // there is or was an instance
	early    bool // who is there may not have been heard yet
	waiting  int
	standby  int
	reached  bool // messages to it arrive somewhere
	sends    bool
	missed   bool // nobody took some
	overfull float64
}

// edge is a route with what its health is judged by.
type edge struct {
	api.Edge
	counts
	missed string // why nobody took some
}

func (p *picture) node(name string) *node {
	n := p.nodes[name]
	if n == nil {
		n = &node{Node: api.Node{Name: name}, early: p.early()}
		p.nodes[name] = n
	}
	return n
}

// early says that not everybody who is there can have been heard: the view has just begun to listen, or cannot.
func (p *picture) early() bool { return p.now.Run-p.view.listening < 2*report.Every+report.Every/5 }

func (p *picture) addTable() {
	for _, row := range p.view.table.Rows() {
		reg := row.Registration
		n := p.node(reg.Name)
		n.Registered, n.Paused, n.Agent, n.MPU = true, reg.Paused, reg.Agent, reg.Capacity()
	}
	for _, d := range p.view.declared {
		e := p.addEdge(d.key)
		e.Declared, e.Paused = true, d.paused
		if d.durable {
			p.setDurable(e)
		}
	}
}

func (p *picture) setDurable(e *edge) {
	e.Delivery = "durable"
	e.Durable = p.view.backlog(Key{e.From, e.Type, e.To})
	to := p.node(e.To)
	to.overfull = max(to.overfull, e.Durable.Fill)
}

func (p *picture) addEdge(key Key) *edge {
	e := &edge{Edge: api.Edge{From: key.From, Type: key.Type, To: key.To, Delivery: "direct"}}
	p.edges = append(p.edges, e)
	p.node(key.From)
	p.node(key.To).used = true
	return e
}

func (p *picture) addInstances() {
	for _, i := range p.view.instances {
		if daemon(i.key.worker) {
			continue
		}
		n := p.node(i.key.worker)
		n.heard = true
		if i.gone() {
			continue
		}
		n.Instances++
		switch report.State(i.state) {
		case report.Ready:
			n.Ready++
		case report.Waiting:
			n.waiting++
		case report.Standby:
			n.standby++
		}
		for _, pair := range i.order {
			if pair.inHand > 0 {
				p.inHand[pair.key] += pair.inHand
			}
		}
		n.InFlight += i.beat.InFlight
		n.Queued += i.beat.Queued
		c, rate := i.now()
		c[timedOut], c[stopped], c[undelivered] = 0, 0, 0 // that is the matter of those it sent to
		n.add(&c)
		n.Rate += rate
	}
}

// addRoutes puts the traffic on the edges, and adds those that have some without being declared.
func (p *picture) addRoutes() {
	declared := make(map[Key]*edge, len(p.edges))
	for _, e := range p.edges {
		declared[Key{e.From, e.Type, e.To}] = e
		e.InFlight = p.inHand[Key{e.From, e.Type, e.To}]
	}
	for key, r := range p.view.routes {
		e := declared[key]
		seen := r.seen(p.now.Run)
		if e == nil {
			if !seen {
				continue
			}
			e = p.addEdge(key)
			if d, ok := p.view.lookUp(key); ok {
				e.Declared, e.Paused = true, d.paused
				if d.durable {
					p.setDurable(e)
				}
			}
		}
		p.addTraffic(e, r, seen)
	}
}

func (p *picture) addTraffic(e *edge, r *route, seen bool) {
	e.Observed = seen
	e.InFlight = p.inHand[r.key]
	p.sum.reset()
	c := r.now(p.now.Run, &p.sum)
	e.counts = c
	e.Flow = c.flow(p.percentiles(&p.sum))
	e.Rate = round(r.rate)
	e.LastError = r.failures.lastText(p.now.Run - fineTime)
	if r.missed >= 0 && p.now.Run-r.missed < window {
		e.missed = cmp.Or(r.why, "nobody took them")
	}
	from, to := p.node(e.From), p.node(e.To)
	from.sends = from.sends || c[sent] > 0 || c[handled] > 0
	to.stay.plus(&p.sum)
	to.missed = to.missed || e.missed != "" || c.lost() > 0
	to.reached = to.reached || e.Durable == nil && c[sent] > 0 && c.lost() == 0 && c.late() == 0
}

func (p *picture) percentiles(of *sum) percentiles {
	p.room = of.histogram(p.room[:0])
	return percentilesOf(p.room)
}

// addDefaults says of default routes whether some type goes along them.
func (p *picture) addDefaults() {
	used := make(map[Key]bool)
	for _, e := range p.edges {
		if key := (Key{e.From, e.Type, e.To}); e.Observed && p.view.viaDefault(key) {
			used[Key{e.From, anyType, e.To}] = true
		}
	}
	for _, e := range p.edges {
		if e.Type == anyType {
			e.Observed = e.Observed || used[Key{e.From, e.Type, e.To}]
		}
	}
}

// seen says that there was traffic in the last while.
func (r *route) seen(now time.Duration) bool {
	return r.traffic >= 0 && now-r.traffic < fineTime || r.missed >= 0 && now-r.missed < fineTime
}

func (p *picture) network() api.Network {
	answer := api.Network{
		At: p.now.Wall.UTC(), Since: p.view.since, Window: window.Seconds(),
		Nodes: make([]api.Node, 0, len(p.nodes)), Edges: make([]api.Edge, 0, len(p.edges)),
	}
	for _, n := range p.view.firing {
		answer.Firing += n
	}
	for _, name := range slices.Sorted(maps.Keys(p.nodes)) {
		n := p.nodes[name]
		n.Rate, n.Errors, n.Alarms = round(n.Rate), n.errorShare(), p.view.alarms[name].n
		n.Pending = p.view.stores[name].Pending
		times := p.percentiles(&n.stay)
		n.P50, n.P95, n.P99 = milliseconds(times[0]), milliseconds(times[1]), milliseconds(times[2])
		n.Health, n.Why = n.judge()
		answer.Nodes = append(answer.Nodes, n.Node)
		p.view.alarms[name].raise(&answer.Nodes[len(answer.Nodes)-1]) // routes to it are judged by themselves
	}
	slices.SortFunc(p.edges, func(a, b *edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Type, b.Type), cmp.Compare(a.To, b.To))
	})
	for _, e := range p.edges {
		e.Health, e.Why = e.judge(p.nodes[e.To])
		answer.Edges = append(answer.Edges, e.Edge)
	}
	return answer
}
