package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// barWidth is how many characters stand for the whole time of a trace.
const barWidth = 32

// printTrace draws a trace as a waterfall, marks the span to look at first, and says what is not over yet.
func (a *app) printTrace(t api.Trace) error {
	fmt.Fprintf(a.stdout, "\ntrace %s  %s  %s  %s\n", t.ID, oneLine(routeText(t.Route), 200), stateText(t.TraceHead), t.Begin.Local().Format("2006-01-02 15:04:05.000"))
	depths := t.Depths()
	w := newTable("SPAN", "INSTANCE", "BEGIN", "TIME", "OWN", "")
	var right []table.ColumnConfig
	for _, name := range []string{"BEGIN", "TIME", "OWN"} {
		right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	w.SetColumnConfigs(right)
	for _, s := range t.Path {
		begin := float64(s.Begin.Sub(t.Begin)) / float64(time.Millisecond)
		note := ""
		if s.ID == t.Slowest {
			note = "  ◀ slowest"
		}
		if s.Outcome != report.OK {
			note += "  " + oneLine(outcomeText(s.Span), 100)
		}
		w.AppendRow(table.Row{
			strings.Repeat("  ", min(depths[s.ID], 30)) + oneLine(s.Kind, 20) + " " + oneLine(routeText(s.Route()), 200), shortID(s.Instance),
			shortMS(begin), shortMS(s.Duration), shortMS(s.Own), bar(begin, s.Duration, t.Duration) + note,
		})
	}
	if err := printTable(a.stdout, w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "total: %s%s\n%s%s", shortMS(t.Duration), slowText(t), partText(t), unfinishedText(t))
	return err
}

// partText says of a trace that is not whole what is missing.
func partText(t api.Trace) string {
	if t.Kept != report.Failed && t.Kept != report.Slow {
		return ""
	}
	return "not traced from its beginning: hops that neither failed nor were slow are missing, and their time is the send's\n"
}

// unfinishedText says which messages no handler has told of.
func unfinishedText(t api.Trace) string {
	if len(t.Unfinished) == 0 {
		return ""
	}
	routes := make([]string, len(t.Unfinished))
	for i, route := range t.Unfinished {
		routes[i] = oneLine(routeText(route), 200)
	}
	text := "unfinished: " + strings.Join(routes, ", ")
	if t.Running {
		return text + "; `damrey trace show " + t.ID + "` later\n"
	}
	return text + "; no handler told of it: it waits, or is of a program without the library\n"
}

// stateText is how a trace ended, or that it has not.
func stateText(t api.TraceHead) string {
	switch {
	case !t.Running:
		return t.Outcome
	case t.Outcome == report.OK:
		return "running"
	}
	return t.Outcome + ", running"
}

// outcomeText says once how a span ended: its error may begin with the tag of the answer.
func outcomeText(s api.Span) string {
	text := s.Error
	if tag, rest, ok := strings.Cut(text, ": "); ok && strings.EqualFold(tag, s.Outcome) {
		text = rest
	}
	return strings.TrimSuffix(s.Outcome+": "+text, ": ")
}

// routeText has a ? where nobody knows to whom.
func routeText(route string) string {
	if strings.HasSuffix(route, "→") {
		return route + "?"
	}
	return route
}

func slowText(t api.Trace) string {
	for _, s := range t.Path {
		if s.ID == t.Slowest && t.Duration > 0 {
			return fmt.Sprintf(", %.0f %% of it in: %s %s", math.Min(100, 100*s.Own/t.Duration), s.Kind, oneLine(routeText(s.Route()), 200))
		}
	}
	return ""
}

// bar is where a span lies within the whole.
func bar(begin, duration, total float64) string {
	if total <= 0 {
		total = 1
	}
	from := min(barWidth-1, max(0, int(begin/total*barWidth)))
	length := min(barWidth-from, max(1, int(math.Round(duration/total*barWidth))))
	return strings.Repeat("·", from) + strings.Repeat("█", length) + strings.Repeat("·", barWidth-from-length)
}

// shortID is enough of an instance's id to tell it from others.
func shortID(id string) string {
	if len(id) > 22 || strings.Contains(id, " ") {
		return orDash(oneLine(id, 22))
	}
	return orDash(oneLine(id[max(0, len(id)-6):], 6))
}

func shortMS(ms float64) string { return shortTime(time.Duration(ms * float64(time.Millisecond))) }

// shortTime has as many digits as a person reads.
func shortTime(d time.Duration) string {
	switch {
	case d < time.Millisecond && d > -time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 100*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
