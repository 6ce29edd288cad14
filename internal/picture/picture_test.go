package picture_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/picture"
)

var update = flag.Bool("update", false, "write the golden files anew")

// network has all that is drawn in a way of its own: a cycle, two ways to one worker, durable routes, what is paused,
// failing, silent, not in the table, not registered.
func network() api.Network {
	node := func(name string, h api.Health, why string) api.Node {
		return api.Node{Name: name, Registered: name != "ghost", Health: h, Why: why, Ready: 1, Instances: 1, Paused: name == "mail"}
	}
	edge := func(from, typ, to string, h api.Health, rate, p99 float64) api.Edge {
		return api.Edge{From: from, Type: typ, To: to, Declared: true, Observed: rate > 0, Delivery: "direct", Health: h, Flow: api.Flow{Rate: rate, P99: p99}}
	}
	mail := edge("order", "mail", "mail", api.HealthDegraded, 4, 12)
	mail.Delivery, mail.Durable, mail.Why = "durable", &api.Backlog{Pending: 1200}, "1200 messages wait"
	news := edge("shop", "news", "mail", api.HealthIdle, 0, 0)
	news.Delivery, news.Durable = "durable", &api.Backlog{Stored: 1200}
	ghost := edge("bank", "log", "ghost", api.HealthOK, 1, 1)
	ghost.Declared = false
	check := edge("order", "check", "fraud", api.HealthFailing, 12.34, 12_340)
	check.Errors, check.Failed, check.Handled, check.Why = 0.5, 6, 12, "half of the messages fail"
	back := edge("bank", "again", "order", api.HealthIdle, 0, 0)
	back.Paused = true
	return api.Network{
		At: time.Unix(100, 0), Since: time.Unix(50, 0), Window: 15,
		Nodes: []api.Node{
			node("shop", api.HealthOK, ""), node("order", api.HealthOK, ""), node("fraud", api.HealthOK, ""),
			node("bank", api.HealthFailing, "no instance is there"), node("mail", api.HealthDegraded, "it is paused"), node("alone", api.HealthIdle, ""),
		},
		Edges: []api.Edge{
			edge("shop", "order", "order", api.HealthOK, 12_345, 0.4), check, mail,
			edge("fraud", "pay", "bank", api.HealthOK, 3, 8), edge("order", "pay", "bank", api.HealthOK, 3, 8), back, ghost,
			news,
			edge("shop", "order-of-a-type-with-a-name-that-is-long", "fraud", api.HealthOK, 1, 1),
		},
	}
}

var forms = map[string]func(*picture.Graph) string{
	"txt": (*picture.Graph).Text, "mmd": (*picture.Graph).Mermaid, "dot": (*picture.Graph).DOT, "svg": (*picture.Graph).SVG,
}

func TestGraph_IsAsDrawn(t *testing.T) {
	t.Parallel()
	for form, draw := range forms {
		got := draw(picture.New(network()))
		file := filepath.Join("testdata", "network."+form)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("not as in %s; look at it, then `go test ./internal/picture -update`:\n%s", file, got)
		}
	}
}

func TestText_FitsIntoEightyColumns(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(picture.New(network()).Text()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// The table alone has no figures.
func TestText_OfTheTableHasNoFigures(t *testing.T) {
	t.Parallel()
	n := network()
	n.Since = time.Time{}
	if got := picture.New(n).Text(); strings.Contains(got, "RATE") || strings.Contains(got, "12.3") {
		t.Error(got)
	}
}

// Whatever the proxy's order and the graph's shape: the same bytes, every route once, and it ends.
func TestGraph_IsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var n api.Network
		count := rapid.IntRange(1, 12).Draw(t, "workers")
		for i := range rapid.IntRange(0, 30).Draw(t, "routes") {
			end := rapid.IntRange(0, count-1)
			n.Edges = append(n.Edges, api.Edge{From: fmt.Sprint("w", end.Draw(t, "from")), Type: fmt.Sprint("type", i, "."), To: fmt.Sprint("w", end.Draw(t, "to")), Declared: true})
		}
		mixed := n
		mixed.Edges = append([]api.Edge(nil), n.Edges...)
		rand.Shuffle(len(mixed.Edges), func(i, j int) { mixed.Edges[i], mixed.Edges[j] = mixed.Edges[j], mixed.Edges[i] })
		for form, draw := range forms {
			one, two := draw(picture.New(n)), draw(picture.New(mixed))
			if one != two {
				t.Fatalf("%s differs:\n%s\n%s", form, one, two)
			}
			for _, e := range n.Edges {
				if form != "svg" && strings.Count(one, e.Type) != 1 {
					t.Fatalf("%s has %s not once:\n%s", form, e.Type, one)
				}
			}
		}
	})
}

// Names come from whoever publishes a beat.
func TestGraph_TakesNamesAsText(t *testing.T) {
	t.Parallel()
	evil := `"]]--><script>alert(1)</script>#quot;` + "\x1b[2J\n\\"
	n := api.Network{Since: time.Unix(1, 0), Nodes: []api.Node{{Name: evil, Why: evil, Health: "failing"}}, Edges: []api.Edge{{From: evil, Type: evil, To: "b", Why: evil, Health: `"><x y="`}}}
	g := picture.New(n)
	for form, draw := range forms {
		got := draw(g)
		if strings.ContainsAny(got, "\x1b") || form != "txt" && form != "dot" && strings.Contains(got, "<script") {
			t.Errorf("%s: %s", form, got)
		}
	}
	if got := g.DOT(); strings.Count(got, "\n") != 8 || !strings.Contains(got, `"\"]]-->`) || !strings.Contains(got, `?\\"`) {
		t.Error(got)
	}
	if got := g.Mermaid(); strings.Contains(got, `""`) || !strings.Contains(got, "#35;quot;") || !strings.Contains(got, "#60;script#62;") {
		t.Error(got)
	}
	d := xml.NewDecoder(strings.NewReader(g.SVG()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && (e.Name.Local == "script" || e.Name.Local == "x") {
			t.Errorf("a name became the element %s", e.Name.Local)
		}
	}
}

func TestFocus_KeepsTheLinesThroughAWorker(t *testing.T) {
	t.Parallel()
	n := api.Network{}
	for _, ends := range []string{"ab", "bc", "cd", "xc", "by", "pq"} {
		n.Edges = append(n.Edges, api.Edge{From: ends[:1], Type: "t", To: ends[1:]})
	}
	for _, name := range "abcdxypqz" {
		n.Nodes = append(n.Nodes, api.Node{Name: string(name)})
	}
	for worker, want := range map[string]string{"b": "ab bc cd by", "d": "ab bc cd xc", "p": "pq", "z": ""} {
		focused, ok := picture.Focus(n, worker)
		var got []string
		for _, e := range focused.Edges {
			got = append(got, e.From+e.To)
		}
		if strings.Join(got, " ") != want || !ok {
			t.Errorf("%s: %v %v, want %s", worker, got, ok, want)
		}
	}
	if _, ok := picture.Focus(n, "nobody"); ok {
		t.Error("nobody is there")
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		picture.Rate(0): "-", picture.Rate(0.04): "0.0/s", picture.Rate(99.9): "99.9/s", picture.Rate(99.97): "100/s", picture.Rate(54321): "54k/s",
		picture.Millis(0.4): "0.4 ms", picture.Millis(9.97): "10 ms", picture.Millis(12_345): "12.3 s", picture.Share(0.125): "12.5 %",
		picture.Age(0): "-", picture.Age(4.559): "4.6 s", picture.Age(75): "75.0 s", picture.Age(600): "10 min", picture.Age(18_000): "5 h", picture.Age(900_000): "10 days", picture.Count(7): "7",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
