package picture

import "github.com/damrey/damrey/internal/api"

// Focus keeps the lines that go through one worker: what leads to it and where it leads. False when there is no such
// worker.
func Focus(n api.Network, worker string) (api.Network, bool) {
	after := reach(n.Edges, worker, func(e api.Edge) (from, to string) { return e.From, e.To })
	before := reach(n.Edges, worker, func(e api.Edge) (from, to string) { return e.To, e.From })
	found := len(after)+len(before) > 2
	var nodes []api.Node
	for _, node := range n.Nodes {
		found = found || node.Name == worker
		if after[node.Name] || before[node.Name] {
			nodes = append(nodes, node)
		}
	}
	var edges []api.Edge
	for _, e := range n.Edges {
		if after[e.From] || before[e.To] {
			edges = append(edges, e)
		}
	}
	n.Nodes, n.Edges = nodes, edges
	return n, found
}

// reach is a node and all that one comes to from it.
func reach(edges []api.Edge, start string, ends func(api.Edge) (from, to string)) map[string]bool {
	next := make(map[string][]string)
	for _, e := range edges {
		from, to := ends(e)
		next[from] = append(next[from], to)
	}
	reached := map[string]bool{start: true}
	for todo := []string{start}; len(todo) > 0; todo = todo[1:] {
		for _, name := range next[todo[0]] {
			if !reached[name] {
				reached[name] = true
				todo = append(todo, name)
			}
		}
	}
	return reached
}
