package api

import (
	"cmp"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/report"
)

// NewTrace puts the spans of one trace together, of which there is at least one. What came twice is in it once. quiet is how
// long ago the last one came.
func NewTrace(id string, spans []Span, quiet time.Duration) Trace {
	path, head := arrange(id, spans, quiet)
	t := Trace{TraceHead: head, Path: withOwn(depthFirst(path))}
	for _, s := range Unfinished(path) {
		if route := s.Route(); !slices.Contains(t.Unfinished, route) {
			t.Unfinished = append(t.Unfinished, route)
		}
	}
	if !t.Running {
		t.Slowest = slowest(t.Path)
	}
	return t
}

// NewTraceHead is NewTrace without the spans, which takes less.
func NewTraceHead(id string, spans []Span, quiet time.Duration) TraceHead {
	_, head := arrange(id, spans, quiet)
	return head
}

// slowest is the id of the span to look at first.
func slowest(path []PathSpan) (id string) {
	if late, ok := ranOut(path); ok {
		return late
	}
	most := 0.0
	for _, s := range path {
		if s.Own > most {
			id, most = s.ID, s.Own
		}
	}
	return id
}

// ranOut is the part of a TIMEOUT's own line in which its time ran out, as the error says it. Own times would not do: a
// root whose message got somewhere late has most of them, and what is handled beside the line may take longer. There is
// none when that hop told of nothing: clocks, and the budget that each hop reckons with, differ by less than a tenth of it.
func ranOut(path []PathSpan) (id string, ok bool) {
	spans, there := make([]Span, len(path)), make(map[string]bool, len(path))
	for i, s := range path {
		spans[i], there[s.ID] = s.Span, true
	}
	root := rootOf(spans, there)
	if root.Kind != report.KindSend || root.Outcome != report.Timeout {
		return "", false
	}
	at := root.End().Add(-root.End().Sub(root.Begin) / 10)
	for _, s := range descendants(root.ID, linesOf(spans)) {
		if (s.Kind == report.KindWait || s.Kind == report.KindHandle) && s.Begin.Before(root.End()) && !s.End().Before(at) {
			id, ok, at = s.ID, true, s.End()
		}
	}
	return id, ok
}

// arrange sorts the spans by their begin, and sums them up.
func arrange(id string, spans []Span, quiet time.Duration) ([]Span, TraceHead) {
	path := slices.Clone(spans)
	slices.SortStableFunc(path, byBegin)
	seen := make(map[string]bool, len(path))
	path = slices.DeleteFunc(path, func(s Span) bool {
		twice := seen[s.ID]
		seen[s.ID] = true
		return twice
	})
	root := rootOf(path, seen)
	end := root.End()
	for _, s := range path {
		if s.End().After(end) {
			end = s.End()
		}
	}
	begin := path[0].Begin
	return path, TraceHead{
		ID: id, Begin: begin, Duration: milliseconds(end.Sub(begin)),
		Route: routeOf(root, path), Outcome: outcomeOf(root, path), Spans: len(path), Kept: keptOf(path),
		Running: quiet < runningFor && len(Unfinished(path)) > 0,
	}
}

func byBegin(a, b Span) int {
	return cmp.Or(a.Begin.Compare(b.Begin), cmp.Compare(rank[a.Kind], rank[b.Kind]), cmp.Compare(a.Hop, b.Hop))
}

// depthFirst puts every span behind its parent, before the parent's next sibling. A span whose parent is not there, and one
// of a circle, stands among the first by its begin.
func depthFirst(path []Span) []Span {
	there := make(map[string]bool, len(path))
	for _, s := range path {
		there[s.ID] = true
	}
	below := make(map[string][]Span, len(path))
	for _, s := range path {
		if there[s.Parent] {
			below[s.Parent] = append(below[s.Parent], s)
		}
	}
	ordered := make([]Span, 0, len(path))
	put := make(map[string]bool, len(path))
	begin := func(first Span) {
		for left := []Span{first}; len(left) > 0; {
			s := left[len(left)-1]
			left = left[:len(left)-1]
			if put[s.ID] {
				continue
			}
			put[s.ID] = true
			ordered = append(ordered, s)
			for _, child := range slices.Backward(below[s.ID]) {
				left = append(left, child)
			}
		}
	}
	for _, s := range path {
		if !there[s.Parent] {
			begin(s)
		}
	}
	for _, s := range path { // what is left goes round in circles
		begin(s)
	}
	return ordered
}

// rank is the order of spans that began in one moment.
var rank = map[string]int{report.KindSend: 0, report.KindForward: 1, report.KindBatch: 2, report.KindWait: 3, report.KindHandle: 4}

// rootOf is the first span whose parent is not there.
func rootOf(path []Span, there map[string]bool) Span {
	for _, s := range path {
		if !there[s.Parent] {
			return s
		}
	}
	return path[0] // they are each other's
}

// routeOf is the first route. Who sends through a bridge does not know where to.
func routeOf(root Span, path []Span) string {
	if root.To == "" {
		for _, s := range path {
			if s.To != "" && s.From == root.From && s.Type == root.Type {
				return s.Route()
			}
		}
	}
	return root.Route()
}

// outcomeOf is how the message ended: as who sent it knows, or the handler that came last.
func outcomeOf(root Span, path []Span) string {
	last := root
	for _, s := range path {
		if root.Outcome == report.OK && s.Kind == report.KindHandle && (last.ID == root.ID || s.End().After(last.End())) {
			last = s
		}
	}
	switch last.Outcome {
	case report.OK, report.Timeout, report.Stop:
		return last.Outcome
	}
	return report.Error
}

func keptOf(path []Span) string {
	for _, why := range []string{report.Asked, report.Sampled, report.Failed, report.Slow} {
		if slices.ContainsFunc(path, func(s Span) bool { return s.Kept == why }) {
			return why
		}
	}
	return report.Sampled
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// withOwn adds how much of each span nothing below it explains. What is forwarded may go on when the span that forwarded it
// is over; that is no part of it, and what goes on at once counts once.
func withOwn(spans []Span) []PathSpan {
	below := make(map[string][]Span)
	for _, s := range spans {
		below[s.Parent] = append(below[s.Parent], s)
	}
	path := make([]PathSpan, len(spans))
	for i, s := range spans {
		path[i] = PathSpan{s, max(0, s.Duration-milliseconds(covered(s, descendants(s.ID, below))))}
	}
	return path
}

// descendants are the spans below one, also where somebody wrote them in a circle.
func descendants(id string, below map[string][]Span) []Span {
	seen := map[string]bool{id: true}
	var all []Span
	for next := []string{id}; len(next) > 0; next = next[1:] {
		for _, s := range below[next[0]] {
			if !seen[s.ID] {
				seen[s.ID] = true
				all = append(all, s)
				next = append(next, s.ID)
			}
		}
	}
	return all
}

// covered is how much of a span others take up, together.
func covered(s Span, others []Span) time.Duration {
	slices.SortFunc(others, func(a, b Span) int { return a.Begin.Compare(b.Begin) })
	var sum time.Duration
	at, end := s.Begin, s.End()
	for _, o := range others {
		from, to := later(o.Begin, at), o.End()
		if to.After(end) {
			to = end
		}
		if to.After(from) {
			sum += to.Sub(from)
			at = to
		}
	}
	return sum
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Depths is how far below the first span each is, by its id.
func (t Trace) Depths() map[string]int {
	parents := make(map[string]string, len(t.Path))
	for _, s := range t.Path {
		parents[s.ID] = s.Parent
	}
	depths := make(map[string]int, len(t.Path))
	for _, s := range t.Path {
		for at := s.Parent; depths[s.ID] < len(t.Path); at = parents[at] {
			if _, there := parents[at]; !there {
				break
			}
			depths[s.ID]++
		}
	}
	return depths
}
