package picture

import (
	"fmt"
	"html"
	"strconv"
	"strings"

	"github.com/damrey/damrey/internal/api"
)

// Mermaid draws a flowchart.
func (g *Graph) Mermaid() string {
	var b strings.Builder
	fmt.Fprintln(&b, "flowchart LR")
	ids := g.ids()
	for _, n := range g.nodes {
		fmt.Fprintf(&b, "  %s[\"%s\"]%s\n", ids[n.Name], entities(name(n)), class(n.Health))
	}
	var silent []string
	for i, e := range g.edges {
		if g.silent(e) {
			silent = append(silent, strconv.Itoa(i))
		}
		arrow := "-->"
		switch {
		case !e.Declared || e.Paused:
			arrow = "-.->"
		case e.Delivery == "durable":
			arrow = "==>"
		}
		fmt.Fprintf(&b, "  %s %s|\"%s\"| %s\n", ids[e.From], arrow, entities(g.label(e)), ids[e.To])
	}
	if len(silent) > 0 {
		fmt.Fprintf(&b, "  linkStyle %s stroke-dasharray:1 5\n", strings.Join(silent, ","))
	}
	for _, n := range g.nodes {
		if !n.Registered {
			fmt.Fprintf(&b, "  style %s stroke-dasharray:5 4\n", ids[n.Name])
		}
	}
	fmt.Fprint(&b, "  classDef degraded stroke:#b58900,stroke-width:2px\n  classDef failing stroke:#c0392b,stroke-width:3px\n")
	return b.String()
}

// ids are names for nodes that no language takes for a word of its own.
func (g *Graph) ids() map[string]string {
	ids := make(map[string]string, len(g.nodes))
	for i, n := range g.nodes {
		ids[n.Name] = fmt.Sprintf("n%d", i)
	}
	return ids
}

// label is what stands at an edge.
func (g *Graph) label(e edge) string {
	label := e.Type
	if g.figures && e.Rate > 0 {
		label += " " + Rate(e.Rate)
	}
	if g.figures && e.Failed > 0 {
		label += ", " + Share(e.Errors) + " fail"
	}
	if g.figures && e.Durable != nil && e.Durable.Pending > 0 {
		label += fmt.Sprintf(", %d pending", e.Durable.Pending)
	}
	if e.Paused {
		label += ", paused"
	}
	if !e.Declared {
		label += ", not in the table"
	}
	return label
}

// name is what stands in a node.
func name(n api.Node) string {
	if n.Registered {
		return n.Name
	}
	return n.Name + " (not registered)"
}

func class(h api.Health) string {
	if h == api.HealthDegraded || h == api.HealthFailing {
		return ":::" + string(h)
	}
	return ""
}

// entities are how Mermaid takes a text as it is: it reads #NUMBER; for a character, and markup even within quotes.
func entities(s string) string {
	return strings.NewReplacer("&amp;", "#38;", "&lt;", "#60;", "&gt;", "#62;", "&#34;", "#34;", "&#39;", "#39;", "#", "#35;", "`", "#96;").
		Replace(html.EscapeString(plain(s)))
}
