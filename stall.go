package damrey

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	stallTick = 100 * time.Millisecond
	// stallLeast is how late a tick must be to be taken for a stall of the
	// whole process, such as SIGSTOP, and not for a busy machine.
	stallLeast = time.Second
	// stallShadow is how long after a stall messages may still be ones that
	// waited for its end.
	stallShadow = 100 * time.Millisecond
)

// stall notices that the process stood still. Messages that were waiting then
// are older than their arrival here says, and their budgets are shortened.
type stall struct {
	lastTick atomic.Int64 // nanoseconds since the epoch
	length   atomic.Int64 // of the last stall
	until    atomic.Int64 // end of its shadow
}

func (s *stall) run(ctx context.Context) {
	s.lastTick.Store(time.Now().UnixNano())
	t := time.NewTicker(stallTick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.tick(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (s *stall) tick(now time.Time) {
	late := now.UnixNano() - s.lastTick.Swap(now.UnixNano())
	if late > int64(stallTick+stallLeast) {
		s.length.Store(late)
		s.until.Store(now.Add(stallShadow).UnixNano())
	}
}

// since is how much older than now a message that is read now may be.
func (s *stall) since(now time.Time) time.Duration {
	n := now.UnixNano()
	if last := s.lastTick.Load(); last != 0 && n-last > int64(stallTick+stallLeast) {
		s.tick(now)
	}
	if n < s.until.Load() {
		return time.Duration(s.length.Load())
	}
	return 0
}
