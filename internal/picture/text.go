package picture

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/damrey/damrey/internal/api"
)

// treeWidth is how many columns the tree has, so that it and its figures fit into 80.
const treeWidth = 46

// Text draws a tree: under each worker the routes that begin there, each with the worker that it leads to.
func (g *Graph) Text() string {
	t := &tree{graph: g, shown: make(map[string]bool), marks: make(map[string]bool)}
	if g.figures && len(g.nodes) > 0 {
		t.line("", "ROUTE", [4]string{"RATE", "ERRORS", "P99", "PENDING"})
	}
	for _, name := range g.starts() {
		if !t.shown[name] {
			t.line("", t.worker(g.node(name)), t.nodeFigures(g.node(name)))
			t.below(name, "")
		}
	}
	t.legend()
	t.troubles()
	return t.text.String()
}

func (g *Graph) node(name string) api.Node {
	for _, n := range g.nodes {
		if n.Name == name {
			return n
		}
	}
	return api.Node{Name: name}
}

// tree is what is drawn so far.
type tree struct {
	graph *Graph
	text  strings.Builder
	shown map[string]bool // workers whose routes stand there
	marks map[string]bool // signs that need a word in the legend
}

func (t *tree) below(name, indent string) {
	t.shown[name] = true
	edges := t.graph.out[name]
	for i, index := range edges {
		e := t.graph.edges[index]
		branch, next := "├─ ", "│  "
		if i == len(edges)-1 {
			branch, next = "└─ ", "   "
		}
		again := t.shown[e.To] && len(t.graph.out[e.To]) > 0
		t.line(indent+branch, t.route(e, again), t.edgeFigures(e))
		if !e.back && !again {
			t.below(e.To, indent+next)
		}
	}
}

func (t *tree) route(e edge, again bool) string {
	arrow := " → "
	if e.Delivery == "durable" {
		arrow = t.mark(" ⇒ ")
	}
	text := t.health(e.Health) + plain(e.Type) + arrow + t.worker(t.graph.node(e.To))
	switch {
	case e.back:
		text += t.mark(" ↺")
	case again:
		text += t.mark(" ↑")
	}
	if e.Paused {
		text += " (paused)"
	}
	if !e.Declared {
		text += t.mark(" *")
	}
	return text
}

func (t *tree) worker(n api.Node) string {
	text := t.health(n.Health) + plain(n.Name)
	switch {
	case n.Paused:
		text += " (paused)"
	case !n.Registered:
		text += " (not registered)"
	}
	return text
}

func (t *tree) health(h api.Health) string {
	switch h {
	case api.HealthFailing:
		return t.mark("✗ ")
	case api.HealthDegraded:
		return t.mark("! ")
	}
	return ""
}

func (t *tree) mark(sign string) string {
	t.marks[strings.TrimSpace(sign)] = true
	return sign
}

func (t *tree) nodeFigures(n api.Node) [4]string {
	return [4]string{Rate(n.Rate), Share(n.Errors), "", ""}
}

func (t *tree) edgeFigures(e edge) [4]string {
	var pending uint64
	if e.Durable != nil {
		pending = e.Durable.Pending
	}
	return [4]string{Rate(e.Rate), Share(e.Errors), Millis(e.P99), Count(pending)}
}

// line puts the figures below a branch that is too long for both.
func (t *tree) line(indent, label string, f [4]string) {
	text := indent + label
	if !t.graph.figures {
		fmt.Fprintln(&t.text, text)
		return
	}
	if utf8.RuneCountInString(text) > treeWidth {
		fmt.Fprintln(&t.text, text)
		text = strings.NewReplacer("├─ ", "│  ", "└─ ", "   ").Replace(indent)
	}
	pad := strings.Repeat(" ", max(0, treeWidth-utf8.RuneCountInString(text)))
	line := fmt.Sprintf("%s%s %8s %7s %8s %7s", text, pad, f[0], f[1], f[2], f[3])
	fmt.Fprintln(&t.text, strings.TrimRight(line, " "))
}

func (t *tree) legend() {
	var words []string
	for _, m := range []struct{ sign, means string }{
		{"⇒", "durable"}, {"↺", "a cycle: leads back to above"}, {"↑", "its routes stand above"}, {"*", "not in the table"},
		{"!", "degraded"}, {"✗", "failing"},
	} {
		if t.marks[m.sign] {
			words = append(words, m.sign+" "+m.means)
		}
	}
	if len(words) == 0 {
		return
	}
	fmt.Fprintln(&t.text)
	line := words[0]
	for _, word := range words[1:] {
		if utf8.RuneCountInString(line)+utf8.RuneCountInString(word) > 76 {
			fmt.Fprintln(&t.text, line)
			line = word
			continue
		}
		line += "   " + word
	}
	fmt.Fprintln(&t.text, line)
}

// troubles says in words what is wrong.
func (t *tree) troubles() {
	said := false
	say := func(h api.Health, what, why string) {
		if why == "" || h != api.HealthFailing && h != api.HealthDegraded {
			return
		}
		if !said {
			fmt.Fprintln(&t.text)
			said = true
		}
		fmt.Fprintf(&t.text, "%s: %s\n", plain(what), plain(why))
	}
	for _, n := range t.graph.nodes {
		say(n.Health, n.Name, n.Why)
	}
	for _, e := range t.graph.edges {
		say(e.Health, e.From+"→"+e.Type+"→"+e.To, e.Why)
	}
}
