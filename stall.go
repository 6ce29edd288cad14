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
	began    moment       // of run
	lastTick atomic.Int64 // nanoseconds since began; 0 before the first
	length   atomic.Int64 // of the last stall
	until    atomic.Int64 // end of its shadow
}

// run keeps the time until ctx ends. start has been called.
func (s *stall) run(ctx context.Context) {
	t := time.NewTicker(stallTick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.tick(int64(clock().since(s.began)))
		case <-ctx.Done():
			return
		}
	}
}

// start comes before run and since.
func (s *stall) start() { s.began = clock() }

func (s *stall) tick(now int64) {
	late := now - s.lastTick.Swap(now)
	if late > int64(stallTick+stallLeast) {
		s.length.Store(late)
		s.until.Store(now + int64(stallShadow))
	}
}

// since is how much older than now a message that is read now may be.
func (s *stall) since(now moment) time.Duration {
	n := int64(now.since(s.began))
	if n-s.lastTick.Load() > int64(stallTick+stallLeast) {
		s.tick(n)
	}
	if n < s.until.Load() {
		return time.Duration(s.length.Load())
	}
	return 0
}
