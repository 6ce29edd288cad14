package agentd

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

const (
	saveDelay = 200 * time.Millisecond // collects changes that come together
	saveRetry = 10 * time.Second       // after the disk did not take it
)

// saver writes the table to disk after it changed. offer may be called at any time; run and save follow one another.
type saver struct {
	state  *state
	prefix string
	log    zerolog.Logger
	kick   chan struct{}
	latest atomic.Pointer[damrey.Table]
	saved  *damrey.Table // what is on disk
	failed bool          // the last write failed, and was logged
}

func newSaver(s *state, prefix string, onDisk *damrey.Table, log zerolog.Logger) *saver {
	return &saver{state: s, prefix: prefix, saved: onDisk, log: log, kick: make(chan struct{}, 1)}
}

// offer has the table written soon.
func (s *saver) offer(t *damrey.Table) {
	s.latest.Store(t)
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// run writes until ctx ends. What was offered last may then still be unwritten; see save.
func (s *saver) run(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-s.kick:
			wait(ctx, saveDelay)
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		if err := s.save(); err != nil {
			again = time.After(saveRetry)
			s.complain(err)
			continue
		}
		s.failed = false
	}
}

func (s *saver) complain(err error) {
	if !s.failed {
		s.failed = true
		s.log.Error().Err(err).Stringer("again_in", saveRetry).Msg("the routing table is not on disk; a restart without the broker would go on with an older one")
	}
}

// save writes the latest table unless it is on disk already.
func (s *saver) save() error {
	t := s.latest.Load()
	if t == nil || sameTable(t, s.saved) {
		return nil
	}
	if s.saved != nil && !s.saved.Created.Equal(t.Created) && len(t.Rows()) < len(s.saved.Rows()) {
		s.keepFormer(len(t.Rows()))
	}
	if err := s.state.saveTable(tableFile, s.prefix, t); err != nil {
		return err
	}
	s.saved = t
	return nil
}

// keepFormer saves what a bucket had before it was made anew with fewer rows.
func (s *saver) keepFormer(now int) {
	e := s.log.Warn().Int("rows_before", len(s.saved.Rows())).Int("rows_now", now)
	if err := s.state.saveTable(formerTableFile, s.prefix, s.saved); err != nil {
		e.Err(err).Msg("the bucket was made anew with fewer rows, and the former table could not be kept")
		return
	}
	e.Str("former_table", s.state.path(formerTableFile)).Msg("the bucket was made anew with fewer rows; the former table is kept beside")
}

// sameTable: in one bucket a revision is one content.
func sameTable(a, b *damrey.Table) bool {
	if b == nil || !a.Created.Equal(b.Created) || len(a.Rows()) != len(b.Rows()) {
		return false
	}
	for _, row := range a.Rows() {
		other := b.Row(row.Registration.Name)
		if other == nil || other.Revision != row.Revision {
			return false
		}
	}
	return true
}
