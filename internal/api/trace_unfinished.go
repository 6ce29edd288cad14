package api

import (
	"slices"
	"time"

	"github.com/damrey/damrey/internal/report"
)

// runningFor is how long after its last span a trace that is not finished counts as running. A handler tells only once it
// has ended; what is silent for longer may be one that takes its time, a message that waits at the broker, or a program
// without the library, which never tells.
const runningFor = 5 * time.Second

// Unfinished are the spans of messages that have left, or wait or are handled, and of which no handler has told yet: one of
// each message, in the order in which they are given. What was traced only since it failed or was slow has gaps, and none
// of it counts. A request whose answer is there is over, with all of its line, but not what was sent beside it.
func Unfinished(spans []Span) []Span {
	if why := keptOf(spans); why != report.Asked && why != report.Sampled {
		return nil
	}
	below := make(map[string][]Span)
	for _, s := range spans {
		below[s.Parent] = append(below[s.Parent], s)
	}
	over, lines := make(map[string]bool), linesOf(spans)
	for _, s := range spans {
		if s.Kind == report.KindSend && (s.Answered || s.Outcome != report.OK && s.Outcome != report.Timeout) {
			over[s.ID] = true
			for _, part := range descendants(s.ID, lines) {
				over[part.ID] = true
			}
		}
	}
	var open []Span
	for _, s := range spans {
		if s.Outcome == report.OK && !over[s.ID] && isOpen(s, below) {
			open = append(open, s)
		}
	}
	return open
}

// isOpen: a message that has left is taken over by who waits for it, handles it or passes it on; a message that waited is
// handled then, once for each hand-out.
func isOpen(s Span, below map[string][]Span) bool {
	switch s.Kind {
	case report.KindSend, report.KindForward:
		return !s.Answered && !slices.ContainsFunc(below[s.ID], func(part Span) bool { return part.Kind != report.KindSend && part.Kind != report.KindBatch })
	case report.KindWait:
		waited, handled := 0, 0
		for _, other := range below[s.Parent] {
			switch {
			case other.Kind == report.KindHandle:
				handled++
			case other.Kind == report.KindWait && other.Outcome == report.OK:
				waited++
				if other.Begin.After(s.Begin) {
					return false // that one counts
				}
			}
		}
		return waited > handled
	}
	return false
}

// linesOf are the spans below each that are of the same line: what a handler asks and sends beside it is none of it.
func linesOf(spans []Span) map[string][]Span {
	lines := make(map[string][]Span)
	for _, s := range spans {
		if s.Kind != report.KindSend {
			lines[s.Parent] = append(lines[s.Parent], s)
		}
	}
	return lines
}
