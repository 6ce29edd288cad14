package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/picture"
)

// topList is one of the lists of `damrey top`.
type topList struct {
	what    string
	columns []string // those of words first
	words   int      // how many columns are words
	ask     func(context.Context, *api.Client) (*topShot, error)
}

var topLists = map[string]topList{
	"workers": {
		what: "workers", words: 2, ask: askWorkers,
		columns: []string{"WORKER", "HEALTH", "READY", "RATE", "ERRORS", "P99", "INFLIGHT", "QUEUED", "ALARMS"},
	},
	"routes": {
		what: "routes", words: 5, ask: askRoutes,
		columns: []string{"FROM", "TYPE", "TO", "DELIVERY", "HEALTH", "RATE", "ERRORS", "P50", "P99", "PENDING", "OLDEST"},
	},
	"instances": {
		what: "instances", words: 5, ask: askInstances,
		columns: []string{"WORKER", "ID", "STATE", "HOST", "AGENT", "PID", "RATE", "ERRORS", "P99", "INFLIGHT", "QUEUED", "SKEW", "AGE"},
	},
}

// column is the index of one, by any case; -1 when there is none.
func (l topList) column(name string) int {
	return slices.IndexFunc(l.columns, func(c string) bool { return strings.EqualFold(c, name) })
}

func (l topList) names() string { return strings.ToLower(strings.Join(l.columns, ", ")) }

// topShot is a list as it was at one time.
type topShot struct {
	document any // as the proxy gave it, without what was filtered out
	keep     func(keep func(int) bool)
	rows     []topRow
	summary  string
}

type topRow struct {
	cells  []string
	values []float64 // to sort by; those of words do not matter
	health api.Health
}

// severity sorts what fails first.
func (r topRow) severity() int {
	switch r.health {
	case api.HealthFailing:
		return 2
	case api.HealthDegraded:
		return 1
	}
	return 0
}

// filtered keeps the rows that hold a text in some cell, in whatever case.
func (s *topShot) filtered(filter string) *topShot {
	if filter == "" {
		return s
	}
	filter = strings.ToLower(filter)
	holds := func(i int) bool {
		return strings.Contains(strings.ToLower(strings.Join(s.rows[i].cells, " ")), filter)
	}
	s.keep(holds)
	var rows []topRow
	for i, row := range s.rows {
		if holds(i) {
			rows = append(rows, row)
		}
	}
	s.rows = rows
	return s
}

// sort by a column: words from A on, figures from the largest. Below 0: what fails first.
func (s *topShot) sort(column int) {
	slices.SortStableFunc(s.rows, func(a, b topRow) int {
		if column < 0 {
			return cmp.Compare(b.severity(), a.severity())
		}
		if value := cmp.Compare(b.values[column], a.values[column]); value != 0 {
			return value
		}
		return cmp.Compare(a.cells[column], b.cells[column])
	})
}

func (s *topShot) table(l topList, color bool) table.Writer {
	header := make([]any, len(l.columns))
	var right []table.ColumnConfig
	for i, name := range l.columns {
		header[i] = name
		if i >= l.words {
			right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t := newTable(header...)
	t.SetColumnConfigs(right)
	for _, row := range s.rows {
		cells := make(table.Row, len(row.cells))
		for i, cell := range row.cells {
			cells[i] = oneLine(cell, 64)
			if color {
				cells[i] = paint(row.health, oneLine(cell, 64))
			}
		}
		t.AppendRow(cells)
	}
	return t
}

// paint makes what fails red and what is not well yellow.
func paint(h api.Health, cell string) string {
	switch h {
	case api.HealthFailing:
		return "\x1b[31m" + cell + "\x1b[0m"
	case api.HealthDegraded:
		return "\x1b[33m" + cell + "\x1b[0m"
	}
	return cell
}

func askWorkers(ctx context.Context, client *api.Client) (*topShot, error) {
	n, err := client.Network(ctx)
	if err != nil {
		return nil, noView(err)
	}
	s := &topShot{document: &n, summary: summaryOf(n)}
	s.keep = func(keep func(int) bool) { n.Nodes, n.Edges = kept(n.Nodes, keep), []api.Edge{} }
	for _, w := range n.Nodes {
		name := w.Name
		if !w.Registered {
			name += " (not registered)"
		}
		s.rows = append(s.rows, topRow{
			cells: []string{name, healthText(w.Health, w.Why, w.Paused), fmt.Sprintf("%d/%d", w.Ready, w.Instances), picture.Rate(w.Rate), picture.Share(w.Errors), picture.Millis(w.P99),
				picture.Count(uint64(max(0, w.InFlight))), picture.Count(uint64(max(0, w.Queued))), picture.Count(uint64(max(0, w.Alarms)))},
			values: []float64{0, 0, float64(w.Ready), w.Rate, w.Errors, w.P99, float64(w.InFlight), float64(w.Queued), float64(w.Alarms)},
			health: w.Health,
		})
	}
	return s, nil
}

func askRoutes(ctx context.Context, client *api.Client) (*topShot, error) {
	n, err := client.Network(ctx)
	if err != nil {
		return nil, noView(err)
	}
	s := &topShot{document: &n, summary: summaryOf(n)}
	s.keep = func(keep func(int) bool) { n.Nodes, n.Edges = []api.Node{}, kept(n.Edges, keep) }
	for _, e := range n.Edges {
		backlog := api.Backlog{}
		if e.Durable != nil {
			backlog = *e.Durable
		}
		s.rows = append(s.rows, topRow{
			cells: []string{e.From, e.Type, e.To, deliveryOf(e), healthText(e.Health, e.Why, e.Paused), picture.Rate(e.Rate), picture.Share(e.Errors),
				picture.Millis(e.P50), picture.Millis(e.P99), picture.Count(backlog.Pending), picture.Age(backlog.OldestAge)},
			values: []float64{0, 0, 0, 0, 0, e.Rate, e.Errors, e.P50, e.P99, float64(backlog.Pending), backlog.OldestAge},
			health: e.Health,
		})
	}
	return s, nil
}

func askInstances(ctx context.Context, client *api.Client) (*topShot, error) {
	list, err := client.Instances(ctx)
	if err != nil {
		return nil, noView(err)
	}
	s := &topShot{document: &list, summary: fmt.Sprintf("%s · %d instances", list.At.Local().Format(time.TimeOnly), len(list.Instances))}
	s.keep = func(keep func(int) bool) { list.Instances = kept(list.Instances, keep) }
	for _, i := range list.Instances {
		age := list.At.Sub(i.Started)
		s.rows = append(s.rows, topRow{
			cells: []string{i.Worker, i.ID, i.State, i.Host, orDash(i.Agent), fmt.Sprint(i.PID), picture.Rate(i.Rate), picture.Share(i.Errors), picture.Millis(i.P99),
				picture.Count(uint64(max(0, i.InFlight))), picture.Count(uint64(max(0, i.Queued))), skewText(i.Skew), ageText(list.At, i.Started)},
			values: []float64{0, 0, 0, 0, 0, float64(i.PID), i.Rate, i.Errors, i.P99, float64(i.InFlight), float64(i.Queued), max(i.Skew, -i.Skew), age.Seconds()},
			health: healthOfInstance(i),
		})
	}
	return s, nil
}

// kept are those whose index is to be kept; never nil, so that JSON has a list.
func kept[T any](all []T, keep func(int) bool) []T {
	some := []T{}
	for i, one := range all {
		if keep(i) {
			some = append(some, one)
		}
	}
	return some
}

func healthOfInstance(i api.Instance) api.Health {
	switch {
	case i.State == "lost":
		return api.HealthFailing
	case i.Stale || i.State == "waiting" || max(i.Skew, -i.Skew) > 1:
		return api.HealthDegraded
	}
	return api.HealthOK
}

func healthText(h api.Health, why string, paused bool) string {
	text := string(h)
	if paused {
		text += ", paused"
	}
	if why != "" {
		text += ": " + why
	}
	return text
}

func deliveryOf(e api.Edge) string {
	if !e.Declared {
		return e.Delivery + ", not in the table"
	}
	return e.Delivery
}

func skewText(seconds float64) string {
	if max(seconds, -seconds) < 0.05 {
		return "-"
	}
	if day := (24 * time.Hour).Seconds(); max(seconds, -seconds) >= day { // no more than that is told
		return map[bool]string{true: "> 1 day", false: "< -1 day"}[seconds > 0]
	}
	return fmt.Sprintf("%+.1f s", seconds)
}

func summaryOf(n api.Network) string {
	text := fmt.Sprintf("%s · %d workers · %d routes", n.At.Local().Format(time.TimeOnly), len(n.Nodes), len(n.Edges))
	if n.Firing > 0 {
		text += fmt.Sprintf(" · %d alarms", n.Firing)
	}
	return text
}
