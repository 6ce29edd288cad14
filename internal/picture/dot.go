package picture

import (
	"fmt"
	"strings"

	"github.com/damrey/damrey/internal/api"
)

// DOT draws for Graphviz.
func (g *Graph) DOT() string {
	var b strings.Builder
	fmt.Fprint(&b, "digraph damrey {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for _, n := range g.nodes {
		fmt.Fprintf(&b, "  %s%s;\n", quoted(n.Name), attributes(healthColor(n.Health), unregistered(n)))
	}
	for _, e := range g.edges {
		fmt.Fprintf(&b, "  %s -> %s%s;\n", quoted(e.From), quoted(e.To),
			attributes("label="+quoted(g.label(e)), healthColor(e.Health), bold(e.Delivery == "durable"), g.line(e), loose(e.back)))
	}
	fmt.Fprintln(&b, "}")
	return b.String()
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(plain(s)) + `"`
}

func attributes(all ...string) string {
	var given []string
	for _, a := range all {
		if a != "" {
			given = append(given, a)
		}
	}
	if len(given) == 0 {
		return ""
	}
	return " [" + strings.Join(given, ", ") + "]"
}

func healthColor(h api.Health) string {
	switch h {
	case api.HealthFailing:
		return `color="#c0392b"`
	case api.HealthDegraded:
		return `color="#b58900"`
	}
	return ""
}

func bold(yes bool) string {
	if yes {
		return "penwidth=2"
	}
	return ""
}

func unregistered(n api.Node) string {
	if n.Registered {
		return ""
	}
	return `style="rounded,dashed", label=` + quoted(name(n))
}

// line is dotted where nothing goes by.
func (g *Graph) line(e edge) string {
	switch {
	case !e.Declared || e.Paused:
		return "style=dashed"
	case g.silent(e):
		return "style=dotted"
	}
	return ""
}

// loose edges do not push their end into a later layer.
func loose(yes bool) string {
	if yes {
		return "constraint=false"
	}
	return ""
}
