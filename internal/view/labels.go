package view

import (
	"cmp"
	"maps"
	"slices"
)

const (
	// maxLabels is how many routes metrics tell apart: each is dozens of lines.
	maxLabels = 1000
	// maxUndeclaredLabels is how many of them are not in the table, so that those of the table find room later too.
	maxUndeclaredLabels = 800
)

// labels say which routes have labels of their own in metrics (true) and which are counted with the others (false). Both last
// for as long as the route is known: were a count to move from one series to another, it would be missed, or seen twice.
type labels struct {
	routes decided
	dead   decided // by dead letters, which may lie there longer than the view is old
	rest   tally   // of routes that were counted with the others and are forgotten
}

type decided map[Key]bool

func newLabels() labels { return labels{routes: make(decided), dead: make(decided)} }

// newcomer is a route that may need a decision.
type newcomer struct {
	key Key
	n   uint64 // what there is to count
}

// decide on the routes that are new since the last time. Those of the table have labels before anything is counted, so that
// their first message is seen, if the table is not too large for that; else with their first message, as all others.
func (l *labels) decide(v *View) {
	durable := make(map[Key]bool, len(v.declared)) // of the table
	for _, d := range v.declared {
		if d.key.Type != anyType {
			durable[d.key] = d.durable
		}
	}
	fits := len(durable) <= maxLabels
	stays := func(key Key) bool { return fits && has(durable, key) }
	l.decideRoutes(v, durable, stays)
	if v.dead != nil {
		l.decideDead(v, durable, stays)
	}
}

func (l *labels) decideRoutes(v *View, table map[Key]bool, stays func(Key) bool) {
	maps.DeleteFunc(l.routes, func(key Key, _ bool) bool { return v.routes[key] == nil && !stays(key) })
	var all []newcomer
	for key, r := range v.routes {
		if r.total.traffic() && key != otherKey {
			all = append(all, newcomer{key, max(1, r.total.busyness())})
		}
	}
	for key := range table {
		if stays(key) {
			all = append(all, newcomer{key: key})
		}
	}
	l.routes.decide(l.routes.without(all), table)
}

// decideDead keeps a route whose dead letters are gone, at 0, until its place is needed.
func (l *labels) decideDead(v *View, table map[Key]bool, stays func(Key) bool) {
	var all []newcomer
	for key, n := range v.dead {
		all = append(all, newcomer{key, n})
	}
	for key, durable := range table {
		if durable && stays(key) {
			all = append(all, newcomer{key: key})
		}
	}
	all = l.dead.without(all)
	full := len(l.dead)+len(all) > maxUndeclaredLabels
	maps.DeleteFunc(l.dead, func(key Key, own bool) bool { return v.dead[key] == 0 && !stays(key) && (!own || full) })
	l.dead.decide(all, table)
}

func has(of map[Key]bool, key Key) bool { _, ok := of[key]; return ok }

// without leaves out those that were decided on.
func (d decided) without(all []newcomer) []newcomer {
	return slices.DeleteFunc(all, func(n newcomer) bool { return has(d, n.key) })
}

// decide gives labels first to routes of the table and then to those with the most to count, as far as there is room.
func (d decided) decide(all []newcomer, table map[Key]bool) {
	slices.SortFunc(all, func(a, b newcomer) int {
		if in := has(table, a.key); in != has(table, b.key) {
			if in {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.key.String(), b.key.String()))
	})
	own, undeclared := 0, 0
	for key, o := range d {
		if o {
			own++
			if !has(table, key) {
				undeclared++
			}
		}
	}
	for _, n := range all {
		in := has(table, n.key)
		switch {
		case d[n.key]:
		case own < maxLabels && (in || undeclared < maxUndeclaredLabels):
			d[n.key] = true
			own++
			if !in {
				undeclared++
			}
		case n.n > 0:
			d[n.key] = false
		}
	}
}
