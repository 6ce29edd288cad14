package stdio

import (
	"math/rand/v2"
	"time"
)

const (
	firstPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
	goodWhile  = 10 * time.Second // a process that lived so long did not fail at its start
)

// backoff says how long to wait before a process is started again. The zero value is for the first time.
type backoff struct{ last time.Duration }

// next takes how long the last process lived. The pauses double; chance takes away up to half of each, so that many that
// died of one cause do not come back as one.
func (b *backoff) next(lived time.Duration) time.Duration {
	if lived >= goodWhile {
		b.last = 0
	}
	b.last = min(max(firstPause, 2*b.last), mostPause)
	return b.last - rand.N(b.last/2)
}
