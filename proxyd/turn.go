package proxyd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey/internal/bucket"
)

const (
	turnEvery  = 3 * time.Second  // between two renewals, or two looks at the one who has it
	turnLength = 10 * time.Second // without a renewal, by whose clock it is that wants it
	// The keys of turns have a dot, which no proxy's own key has.
	keeperTurn = "keeper.turn"
	alarmTurn  = "alarms.turn"
)

// turn is whose it is among several proxies to do something, such as to make the streams of jobs: one does, and another
// takes over when that one has not renewed it for a while. Two that believe so for a moment must do no harm.
type turn struct {
	store  *store
	key    string
	what   string // is done by the one who has it, for the log
	always bool   // there is no other
	id     string
	taken  func() // called when it becomes this one's

	mu       sync.Mutex // guards all below
	revision uint64     // that was last seen, and when
	seen     time.Time
	until    time.Time // it is this one's
}

// newKeeperTurn is for making streams, which is idempotent: a proxy that is not of a cluster always has it.
func newKeeperTurn(s *store, node string, taken func()) *turn {
	return &turn{store: s, key: keeperTurn, what: "makes the streams of jobs", always: node == "", id: nuid.Next(), taken: taken}
}

// newAlarmTurn is for telling of alarms and of who comes and goes, which proxies in front of one external NATS must not do
// twice either.
func newAlarmTurn(s *store, taken func()) *turn {
	return &turn{store: s, key: alarmTurn, what: "watches for alarms", id: nuid.Next(), taken: taken}
}

// mine says whether it is this proxy's turn.
func (t *turn) mine() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.always || time.Now().Before(t.until)
}

// known says whether somebody is known to have it.
func (t *turn) known() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.always || t.revision != 0
}

// run takes and renews the turn until ctx ends.
func (t *turn) run(ctx context.Context) {
	if t.always {
		return
	}
	ticker := time.NewTicker(turnEvery)
	defer ticker.Stop()
	for {
		before := t.mine()
		if err := t.take(ctx); err != nil && ctx.Err() == nil {
			t.store.log.Debug().Err(err).Msg("it is not known which proxy " + t.what)
		}
		if !before && t.mine() {
			t.store.log.Info().Msg("this proxy " + t.what + " now")
			t.taken()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.release(context.WithoutCancel(ctx))
			return
		}
	}
}

// release gives it up, so that the next one need not wait until it is over.
func (t *turn) release(ctx context.Context) {
	t.mu.Lock()
	revision, mine := t.revision, time.Now().Before(t.until)
	t.until = time.Time{}
	t.mu.Unlock()
	if !mine {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := t.store.use(ctx, bucket.ProxiesName(t.store.prefix), func(ctx context.Context, kv jetstream.KeyValue) error {
		return kv.Delete(ctx, t.key, jetstream.LastRevision(revision))
	})
	if err != nil {
		t.store.log.Debug().Err(err).Msg("another proxy has to wait until it is over that this one " + t.what)
	}
}

// take renews it, or takes it from one that has not renewed it in time. Every write is by revision: of two that want it
// one gets it.
func (t *turn) take(ctx context.Context) error {
	began := time.Now()
	return t.store.use(ctx, bucket.ProxiesName(t.store.prefix), func(ctx context.Context, kv jetstream.KeyValue) error {
		revision, err := t.try(ctx, kv)
		t.mu.Lock()
		defer t.mu.Unlock()
		if err != nil {
			return err
		}
		if revision > 0 {
			t.revision, t.seen, t.until = revision, began, began.Add(turnLength-turnEvery)
		}
		return nil
	})
}

// try returns the revision under which it is this proxy's; 0 while it is another's.
func (t *turn) try(ctx context.Context, kv jetstream.KeyValue) (uint64, error) {
	now, err := kv.Get(ctx, t.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		revision, err := kv.Create(ctx, t.key, []byte(t.id))
		return revision, ignoreConflict(err)
	}
	if err != nil {
		return 0, err
	}
	if string(now.Value()) != t.id && !t.over(now.Revision()) {
		return 0, nil
	}
	revision, err := kv.Update(ctx, t.key, []byte(t.id), now.Revision())
	return revision, ignoreConflict(err)
}

// over says that a revision has been there for so long that its owner is gone.
func (t *turn) over(revision uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.revision != revision {
		t.revision, t.seen = revision, time.Now()
		return false
	}
	return time.Since(t.seen) > turnLength
}

// ignoreConflict makes it no error that somebody else was faster.
func ignoreConflict(err error) error {
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil
	}
	return err
}
