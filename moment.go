package damrey

import "time"

// moment is a point of the process's own clock, which nobody sets, in
// nanoseconds; zero is none. It costs half the time and a third of the room of
// a time.Time, and every message looks at the clock and carries a deadline.
type moment int64

// epoch is a second before the first moment, so that none is zero.
var epoch = time.Now().Add(-time.Second)

func clock() moment { return moment(time.Since(epoch)) }

func momentOf(t time.Time) moment { return moment(t.Sub(epoch)) }

func (m moment) time() time.Time { return epoch.Add(time.Duration(m)) }

func (m moment) add(d time.Duration) moment { return m + moment(d) }

func (m moment) since(earlier moment) time.Duration { return time.Duration(m - earlier) }

// left is how long it is until m.
func (m moment) left() time.Duration { return m.since(clock()) }
