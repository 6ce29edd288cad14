package picture

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/damrey/damrey/internal/api"
)

// Sizes of the drawing, in pixels.
const (
	boxHeight  = 34
	rowGap     = 46
	layerGap   = 190
	letter     = 8 // about one of the labels
	margin     = 24
	loopHeight = 26
)

const svgStyle = `<style>text{font:13px sans-serif;fill:#222}.label{font-size:11px;fill:#555}
.box{fill:#f6f6f2;stroke:#777}.idle{stroke:#aaa}.ok{stroke:#2a7}.degraded{stroke:#b58900}.failing{stroke:#c0392b}
.edge{fill:none;stroke-width:1.3}.durable{stroke-width:3}.dashed{stroke-dasharray:5 4}.silent{stroke-dasharray:1 5}
@media (prefers-color-scheme:dark){text{fill:#eee}.label{fill:#bbb}.box{fill:#262626}}</style>`

// SVG draws layers from left to right, which a browser shows by itself: it loads nothing and runs nothing.
func (g *Graph) SVG() string {
	d := g.place()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="the network">`+"\n", d.width, d.height)
	fmt.Fprintln(&b, svgStyle)
	fmt.Fprint(&b, `<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z" fill="#777"/></marker></defs>`+"\n")
	for i := range g.edges {
		d.edge(&b, i)
	}
	for _, n := range g.nodes {
		d.node(&b, n)
	}
	fmt.Fprintln(&b, "</svg>")
	return b.String()
}

// drawing is where everything is.
type drawing struct {
	graph         *Graph
	box           map[string]box
	width, height int
}

type box struct{ x, y, width int }

func (b box) right() int  { return b.x + b.width }
func (b box) middle() int { return b.y + boxHeight/2 }

// place gives each layer a column, and orders each column by where its edges come from, so that few cross.
func (g *Graph) place() *drawing {
	d := &drawing{graph: g, box: make(map[string]box, len(g.nodes))}
	columns := g.columns()
	tallest := 0
	for _, column := range columns {
		tallest = max(tallest, len(column))
	}
	x, backs := margin, 0
	for _, e := range g.edges {
		if e.back {
			backs++
		}
	}
	top, gap := margin+backs*loopHeight, g.gap()
	for _, column := range columns {
		widest := 0
		y := top + (tallest-len(column))*(boxHeight+rowGap)/2
		for _, name := range column {
			w := 24 + letter*len([]rune(plain(name)))
			d.box[name] = box{x, y, w}
			widest = max(widest, w)
			y += boxHeight + rowGap
		}
		x += widest + gap
	}
	d.width = max(2*margin, x-gap+margin)
	d.height = top + max(0, tallest*(boxHeight+rowGap)-rowGap) + margin
	return d
}

// gap between two layers has room for the longest label.
func (g *Graph) gap() int {
	gap := layerGap
	for _, e := range g.edges {
		gap = max(gap, (letter-1)*len([]rune(g.label(e)))+2*margin)
	}
	return gap
}

func (g *Graph) columns() [][]string {
	var columns [][]string
	for _, n := range g.nodes {
		for len(columns) <= g.rank[n.Name] {
			columns = append(columns, nil)
		}
		columns[g.rank[n.Name]] = append(columns[g.rank[n.Name]], n.Name)
	}
	row := make(map[string]float64)
	for i, column := range columns {
		if i > 0 {
			slices.SortStableFunc(column, func(a, b string) int { return cmp.Compare(g.pull(a, row), g.pull(b, row)) })
		}
		for at, name := range column {
			row[name] = float64(at) - float64(len(column)-1)/2
		}
	}
	return columns
}

// pull is the mean row of what leads to a node.
func (g *Graph) pull(name string, row map[string]float64) float64 {
	var sum, n float64
	for _, e := range g.edges {
		if e.To == name && !e.back {
			sum += row[e.From]
			n++
		}
	}
	return sum / max(1, n)
}

func (d *drawing) node(b *strings.Builder, n api.Node) {
	at := d.box[n.Name]
	fmt.Fprintf(b, `<g><title>%s</title><rect class="box %s%s" x="%d" y="%d" width="%d" height="%d" rx="6"/><text x="%d" y="%d" text-anchor="middle">%s</text></g>`+"\n",
		html.EscapeString(plain(titleOf(n))), healthClass(n.Health), dashClass(!n.Registered),
		at.x, at.y, at.width, boxHeight, at.x+at.width/2, at.middle()+5, html.EscapeString(plain(n.Name)))
}

func titleOf(n api.Node) string {
	title := fmt.Sprintf("%s, %d of %d instances ready", n.Name, n.Ready, n.Instances)
	if n.Why != "" {
		title += ": " + n.Why
	}
	return title
}

// edge draws one; of several between the same two each has a bow of its own.
func (d *drawing) edge(b *strings.Builder, i int) {
	e := d.graph.edges[i]
	class := "edge " + healthClass(e.Health) + dashClass(!e.Declared || e.Paused)
	if d.graph.silent(e) {
		class += " silent"
	}
	if e.Delivery == "durable" {
		class += " durable"
	}
	path, x, y := d.path(i)
	fmt.Fprintf(b, `<g><title>%s</title><path class="%s" d="%s" marker-end="url(#end)"/><text class="label" x="%d" y="%d" text-anchor="middle">%s</text></g>`+"\n",
		html.EscapeString(plain(e.From+"→"+e.Type+"→"+e.To)), class, path, x, y, html.EscapeString(plain(d.graph.label(e))))
}

// path is a curve, and where its label is.
func (d *drawing) path(i int) (path string, x, y int) {
	e := d.graph.edges[i]
	from, to := d.box[e.From], d.box[e.To]
	if e.back {
		y := margin + d.above(i)*loopHeight
		x1, x2 := from.x+from.width/2+10, to.x+to.width/2-10
		return fmt.Sprintf("M%d %dC%[1]d %[3]d %[4]d %[3]d %[4]d %[5]d", x1, from.y, y-8, x2, to.y), (x1 + x2) / 2, y
	}
	bow := 22 * d.before(i)
	x1, y1, x2, y2 := from.right(), from.middle(), to.x, to.middle()
	middle := (x1 + x2) / 2
	path = fmt.Sprintf("M%d %dC%d %d %[3]d %[5]d %[6]d %[7]d", x1, y1, middle, y1+bow, y2+bow, x2, y2)
	return path, middle, (y1+y2)/2 + bow*3/4 - 6
}

// before is how many edges between the same two were drawn before.
func (d *drawing) before(i int) (n int) {
	for _, e := range d.graph.edges[:i] {
		if e.From == d.graph.edges[i].From && e.To == d.graph.edges[i].To {
			n++
		}
	}
	return n
}

// above is how many edges that lead back were drawn before.
func (d *drawing) above(i int) (n int) {
	for _, e := range d.graph.edges[:i] {
		if e.back {
			n++
		}
	}
	return n
}

// healthClass is one of four, whatever a proxy says.
func healthClass(h api.Health) string {
	switch h {
	case api.HealthOK, api.HealthDegraded, api.HealthFailing:
		return string(h)
	}
	return string(api.HealthIdle)
}

func dashClass(yes bool) string {
	if yes {
		return " dashed"
	}
	return ""
}
