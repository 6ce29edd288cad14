package view

import "time"

// Instant is a moment in both ways in which a view needs it.
type Instant struct {
	// Wall is what the clock shows; it may jump, and only what people see is made of it.
	Wall time.Time
	// Run is the time since the proxy began, by a clock that nobody sets.
	Run time.Duration
}

// Clock gives the instants of one view; make it with [StartClock].
type Clock struct{ began time.Time }

// StartClock begins with this minute, so that steps lie on whole ones.
func StartClock() Clock {
	now := time.Now()
	return Clock{began: now.Add(now.Truncate(time.Minute).Sub(now))}
}

// Now is this moment.
func (c Clock) Now() Instant {
	now := time.Now()
	return Instant{Wall: now, Run: now.Sub(c.began)}
}

// wallAt is what the clock would have shown at another moment, had it always gone as it does now.
func (i Instant) wallAt(run time.Duration) time.Time { return i.Wall.Add(run - i.Run).UTC() }
