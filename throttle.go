package damrey

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// throttledLog writes a warning of each kind at most once a second, with how
// many there were, so that a flood of bad messages is told and not repeated.
type throttledLog struct {
	zerolog.Logger
	mu   sync.Mutex // guards what follows
	seen map[string]*throttled
}

type throttled struct {
	until   time.Time
	skipped int
}

func newThrottledLog(log zerolog.Logger) *throttledLog {
	return &throttledLog{Logger: log, seen: make(map[string]*throttled)}
}

// warn logs text, which is also the kind, with what fill adds.
func (t *throttledLog) warn(text string, fill func(*zerolog.Event)) {
	skipped, ok := t.admit(text)
	if !ok {
		return
	}
	e := t.Logger.Warn()
	if skipped > 0 {
		e.Int("more_like_this", skipped)
	}
	if fill != nil {
		fill(e)
	}
	e.Msg(text)
}

func (t *throttledLog) admit(kind string) (skipped int, ok bool) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.seen[kind]
	if s == nil {
		s = &throttled{}
		t.seen[kind] = s
	}
	if now.Before(s.until) {
		s.skipped++
		return 0, false
	}
	skipped, s.skipped = s.skipped, 0
	s.until = now.Add(time.Second)
	return skipped, true
}

// flush tells what was held back, at the end.
func (t *throttledLog) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, s := range t.seen {
		if s.skipped > 0 {
			t.Logger.Warn().Int("more_like_this", s.skipped).Msg(kind)
			s.skipped = 0
		}
	}
}
