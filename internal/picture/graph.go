// Package picture draws the network as text: a tree for a terminal, Mermaid, DOT and SVG. The same network gives the same
// bytes.
package picture

import (
	"cmp"
	"slices"

	"github.com/damrey/damrey/internal/api"
)

// Graph is a network in the order in which it is drawn.
type Graph struct {
	nodes   []api.Node
	edges   []edge
	out     map[string][]int // edges by where they begin
	rank    map[string]int   // how many layers lie before a node
	figures bool             // rates are known
}

type edge struct {
	api.Edge
	back bool // it closes a cycle
}

// New sorts out a network. What an edge names and no node is stands there as a worker that is not registered.
func New(n api.Network) *Graph {
	g := &Graph{nodes: slices.Clone(n.Nodes), figures: !n.Since.IsZero()}
	for _, e := range n.Edges {
		g.edges = append(g.edges, edge{Edge: e})
	}
	g.addMissing()
	slices.SortFunc(g.nodes, func(a, b api.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(g.edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Type, b.Type), cmp.Compare(a.To, b.To))
	})
	g.index()
	g.findCycles()
	g.layer()
	return g
}

// silent says that messages may go along an edge, and none are seen.
func (g *Graph) silent(e edge) bool { return g.figures && e.Declared && !e.Paused && !e.Observed }

func (g *Graph) addMissing() {
	known := make(map[string]bool)
	for _, n := range g.nodes {
		known[n.Name] = true
	}
	for _, e := range g.edges {
		for _, name := range []string{e.From, e.To} {
			if !known[name] {
				known[name] = true
				g.nodes = append(g.nodes, api.Node{Name: name, Health: api.HealthIdle})
			}
		}
	}
}

func (g *Graph) index() {
	g.out = make(map[string][]int)
	for i, e := range g.edges {
		g.out[e.From] = append(g.out[e.From], i)
	}
}

// starts are the nodes that nothing leads to, then the others; what is on a cycle alone has none of the first.
func (g *Graph) starts() []string {
	into := make(map[string]bool)
	for _, e := range g.edges {
		if e.From != e.To {
			into[e.To] = true
		}
	}
	var first, rest []string
	for _, n := range g.nodes {
		if into[n.Name] {
			rest = append(rest, n.Name)
		} else {
			first = append(first, n.Name)
		}
	}
	return append(first, rest...)
}

// findCycles marks the edges that lead back to where one came from.
func (g *Graph) findCycles() {
	const open, done = 1, 2
	state := make(map[string]int)
	var visit func(string)
	visit = func(name string) {
		state[name] = open
		for _, i := range g.out[name] {
			switch to := g.edges[i].To; state[to] {
			case open:
				g.edges[i].back = true
			case 0:
				visit(to)
			}
		}
		state[name] = done
	}
	for _, name := range g.starts() {
		if state[name] == 0 {
			visit(name)
		}
	}
}

// layer puts every node behind all that lead to it.
func (g *Graph) layer() {
	g.rank = make(map[string]int)
	waits := make(map[string]int)
	for _, e := range g.edges {
		if !e.back {
			waits[e.To]++
		}
	}
	var ready []string
	for _, n := range g.nodes {
		if waits[n.Name] == 0 {
			ready = append(ready, n.Name)
		}
	}
	for ; len(ready) > 0; ready = ready[1:] {
		for _, i := range g.out[ready[0]] {
			e := g.edges[i]
			if e.back {
				continue
			}
			g.rank[e.To] = max(g.rank[e.To], g.rank[e.From]+1)
			if waits[e.To]--; waits[e.To] == 0 {
				ready = append(ready, e.To)
			}
		}
	}
}
