package relay

import (
	"math/rand/v2"
	"time"
)

// State says what a relay does with what comes. Its zero value passes everything on.
type State struct {
	// Cut refuses connections.
	Cut bool
	// FreezeUp holds what goes to the target, FreezeDown what comes from it.
	FreezeUp, FreezeDown bool
	// Delay of everything, each way.
	Delay time.Duration
	// Rate in bytes a second, of each connection and direction; 0 is no bound.
	Rate int
	// Stall is the share of chunks, 0 to 1, that wait for StallTime as if TCP had to send them again; what follows waits
	// behind them.
	Stall     float64
	StallTime time.Duration
}

// due is when n bytes that came now may go on, behind those that go on at last.
func (s State) due(now, last time.Time, n int) time.Time {
	due := now.Add(s.Delay)
	if s.Stall > 0 && rand.Float64() < s.Stall {
		due = due.Add(s.StallTime)
	}
	if s.Rate > 0 {
		if last.After(due) {
			due = last
		}
		due = due.Add(time.Duration(n) * time.Second / time.Duration(s.Rate))
	}
	return due
}

// slow says that what came waits for its time.
func (s State) slow() bool { return s.Delay > 0 || s.Rate > 0 || s.Stall > 0 }
