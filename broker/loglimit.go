package broker

import "time"

const (
	limitWindow = 10 * time.Second
	limitBurst  = 5
	limitKeys   = 256
)

// logLimit lets each kind of line through limitBurst times in a window and counts the rest. It knows at most limitKeys
// kinds; what goes beyond shares one. Its caller guards it.
type logLimit map[string]*logBucket

type logBucket struct {
	until   time.Time // the end of the window
	passed  int
	dropped int
}

// pass tells whether a line of this kind may be written now, and how many were not since the last one that was.
func (l logLimit) pass(key string, now time.Time) (ok bool, dropped int) {
	b := l.bucket(key, now)
	if now.After(b.until) {
		b.until, b.passed = now.Add(limitWindow), 0
	}
	if b.passed >= limitBurst {
		b.dropped++
		return false, 0
	}
	b.passed++
	dropped, b.dropped = b.dropped, 0
	return true, dropped
}

// total counts what was dropped and not told yet.
func (l logLimit) total() (n int) {
	for _, b := range l {
		n += b.dropped
	}
	return n
}

func (l logLimit) bucket(key string, now time.Time) *logBucket {
	if b, ok := l[key]; ok {
		return b
	}
	if len(l) >= limitKeys {
		l.forget(now)
	}
	if len(l) >= limitKeys {
		key = "" // every kind has a text, so this is nobody's
	}
	if l[key] == nil {
		l[key] = &logBucket{}
	}
	return l[key]
}

// forget drops the kinds that have been quiet, except those that still have something to tell.
func (l logLimit) forget(now time.Time) {
	for key, b := range l {
		if now.After(b.until) && b.dropped == 0 {
			delete(l, key)
		}
	}
}
