package proxyd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

// burialWait is how long a request waits for a burial to end, before it answers with what there is.
const burialWait = 3 * time.Second

// burials move the stored messages of deleted workers to the dead letters, in the background of this proxy. One that
// was interrupted goes on when somebody deletes the worker again.
type burials struct {
	store *store
	table *table
	queue chan *burial

	mu  sync.Mutex // guards all
	all map[string]*burial
}

func newBurials(s *store, t *table) *burials {
	return &burials{store: s, table: t, queue: make(chan *burial), all: make(map[string]*burial)}
}

// run buries until ctx ends.
func (s *burials) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case b := <-s.queue:
			running.Go(func() {
				defer close(b.done)
				b.err = b.run(ctx)
				b.say()
			})
		case <-ctx.Done():
			return
		}
	}
}

// begin is the burial of this worker's messages that is under way, or a new one. One that has ended since somebody asked is
// the answer to who asks again; but to who has removed the worker anew it says nothing.
func (s *burials) begin(ctx context.Context, worker string, anew bool) (b *burial, isNew bool, err error) {
	s.mu.Lock()
	b = s.all[worker]
	isNew = b == nil || anew && b.isOver()
	if isNew {
		b = &burial{store: s.store, table: s.table, worker: worker, done: make(chan struct{}), refused: make(map[uint64]error)}
		s.all[worker] = b
	}
	s.mu.Unlock()
	if !isNew {
		return b, isNew, nil
	}
	select {
	case s.queue <- b:
		return b, isNew, nil
	case <-ctx.Done():
		s.forget(b)
		return nil, isNew, problem(http.StatusServiceUnavailable, "the proxy does not run (any more); ask again")
	}
}

// has says that a burial is under way, or has ended and was not asked for since.
func (s *burials) has(worker string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[worker] != nil
}

func (s *burials) forget(b *burial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[b.worker] == b {
		delete(s.all, b.worker)
	}
}

// wait is what became of the messages so far. It ends before the burial does only while something is known to be left:
// who hears of nothing left takes it to be over.
func (s *burials) wait(ctx context.Context, b *burial) (moved, left uint64, err error) {
	for {
		select {
		case <-b.done:
			s.forget(b)
			return b.moved.Load(), b.left.Load(), b.err
		case <-ctx.Done():
			return b.moved.Load(), b.left.Load(), ctx.Err()
		case <-time.After(burialWait):
		}
		if moved, left = b.moved.Load(), b.left.Load(); left > 0 {
			return moved, left, nil
		}
	}
}

// burial is the moving of one worker's messages.
type burial struct {
	store       *store
	table       *table
	worker      string
	moved, left atomic.Uint64
	refused     map[uint64]error // by sequence, what the broker does not take as a dead letter; of the one that runs it
	done        chan struct{}
	err         error // to be read when done is closed
}

// errAddedAgain ends a burial whose worker is one again.
var errAddedAgain = errors.New("added again meanwhile")

func (b *burial) isOver() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

func (b *burial) say() {
	log := b.store.log.Info()
	if b.err != nil {
		log = b.store.log.Warn().Err(b.err)
	}
	log.Str("worker", b.worker).Uint64("moved", b.moved.Load()).Uint64("left", b.left.Load()).
		Msg("stored messages of a deleted worker went to the dead letters")
}

// run moves until nothing is left. It shares the worker's consumer with instances that drain meanwhile: each message is in
// one hand only. What stays unseen there is waiting for its next attempt, and is taken from the stream itself.
func (b *burial) run(ctx context.Context) error {
	if err := bucket.EnsureDead(ctx, b.store.js, b.store.prefix); err != nil {
		return err
	}
	if _, err := bucket.RemoveDone(ctx, b.store.js, b.store.prefix, b.worker); err != nil {
		return err // they would run once more
	}
	hands, err := watchHands(b.store.nc, bucket.JobsStream(b.store.prefix, b.worker))
	if err != nil {
		return err
	}
	defer hands.stop()
	for ctx.Err() == nil {
		over, err := b.round(ctx, hands)
		if err != nil || over {
			return err
		}
	}
	return fmt.Errorf("the proxy ends with %d of the messages not moved; delete worker %q again, and it goes on", b.left.Load(), b.worker)
}

func (b *burial) round(ctx context.Context, hands *ackWatch) (over bool, err error) {
	e, err := b.table.get(ctx, b.worker)
	if err != nil {
		return false, err
	}
	if e != nil {
		return false, errAddedAgain
	}
	stream, err := b.stream(ctx)
	if err != nil {
		return errors.Is(err, jetstream.ErrStreamNotFound), ignore(err, jetstream.ErrStreamNotFound)
	}
	if b.left.Load() == 0 {
		return true, b.removeStream(ctx)
	}
	if left := b.left.Load(); left <= uint64(len(b.refused)) {
		return false, b.refusal(left)
	}
	taken, err := b.takeAll(ctx, stream, hands)
	if err == nil && taken == 0 {
		err = b.takePostponed(ctx, stream, hands)
	}
	return false, err
}

// refusal is the error when nothing else is left than what the broker does not take.
func (b *burial) refusal(left uint64) error {
	first := slices.Min(slices.Collect(maps.Keys(b.refused)))
	return fmt.Errorf("%d of the messages could not be moved to the dead letters and stay; the first of them is message %d of stream %s: %w",
		left, first, bucket.JobsStream(b.store.prefix, b.worker), b.refused[first])
}

// stream counts what is left in it.
func (b *burial) stream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := b.store.js.Stream(ctx, bucket.JobsStream(b.store.prefix, b.worker))
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.subjects()))
	if err != nil {
		return nil, err
	}
	var left uint64
	for subject, n := range info.State.Subjects {
		if !b.isMarker(subject) {
			left += n
		}
	}
	b.left.Store(left)
	return stream, nil
}

// subjects are of jobs, of those that wait for a paused route, and of markers.
func (b *burial) subjects() string { return b.store.prefix + ".*." + b.worker + ".>" }

// isMarker says that it is an application's id that is stored, and no message.
func (b *burial) isMarker(subject string) bool {
	return strings.HasPrefix(subject, b.store.prefix+".id.")
}

// removeStream leaves a stream that a route leads to: the keeper would make it again, and senders would meet none.
func (b *burial) removeStream(ctx context.Context) error {
	entries, err := b.table.list(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, c := range e.reg.Commands {
			if c.Worker == b.worker && c.Delivery == damrey.Durable {
				return nil
			}
		}
	}
	_, err = bucket.RemoveJobs(ctx, b.store.js, b.store.prefix, b.worker)
	return err
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// stored counts the messages of a worker, registered or not.
func (s *burials) stored(ctx context.Context, worker string) (uint64, error) {
	b := &burial{store: s.store, worker: worker}
	_, err := b.stream(ctx)
	if err == nil && b.left.Load() > 0 {
		var done int
		if done, err = bucket.RemoveDone(ctx, s.store.js, s.store.prefix, worker); err == nil && done > 0 {
			_, err = b.stream(ctx)
		}
	}
	return b.left.Load(), ignore(err, jetstream.ErrStreamNotFound)
}

// delBurying removes a worker, and moves what is stored for it to the dead letters. A worker that is gone already is no
// problem while there is something to move.
func (p *Proxy) delBurying(ctx context.Context, name string, allow guard) (*registrationAnswer, error) {
	removed, err := p.table.del(ctx, name, allow)
	removedNow := err == nil
	if removedNow {
		p.tell(ctx, opDelete, name, removed.revision)
	} else if refused, ok := errors.AsType[huma.StatusError](err); ok && refused.GetStatus() == http.StatusNotFound && damrey.CheckWorkerName(name) == nil {
		removed, err = p.halfBuried(ctx, name, err)
	}
	if err != nil {
		return nil, err
	}
	answer := newAnswer(http.StatusOK, removed)
	answer.Moved, answer.Left, err = p.bury(ctx, name, removedNow)
	return answer, err
}

// bury waits a moment for the messages to be moved, and says how many are, and how many are left.
func (p *Proxy) bury(ctx context.Context, name string, removedNow bool) (moved, left string, err error) {
	if damrey.CheckWorkerName(name) != nil {
		return "0", "0", nil // nothing can be stored for what is no worker's name
	}
	m, l, isNew, err := p.burials.bury(ctx, name, removedNow)
	if removedNow && !isNew && l == 0 && (err == nil || errors.Is(err, errAddedAgain)) {
		// It may have looked for the last time before what is stored now was.
		before := m
		m, l, _, err = p.burials.bury(ctx, name, false)
		m += before
	}
	if errors.Is(err, errAddedAgain) {
		err = problem(http.StatusConflict, "worker %q was %v; %d messages are dead letters by now, the others stay stored for it", name, errAddedAgain, m)
	}
	return strconv.FormatUint(m, 10), strconv.FormatUint(l, 10), away(err)
}

// bury is begin and wait.
func (s *burials) bury(ctx context.Context, worker string, anew bool) (moved, left uint64, isNew bool, err error) {
	b, isNew, err := s.begin(ctx, worker, anew)
	if err != nil {
		return 0, 0, isNew, err
	}
	moved, left, err = s.wait(ctx, b)
	if errors.Is(err, errAddedAgain) {
		left = 0 // of before
	}
	return moved, left, isNew, err
}

// halfBuried is a worker that is gone, but whose messages are not; or else gone, the error.
func (p *Proxy) halfBuried(ctx context.Context, name string, gone error) (*entry, error) {
	if !p.burials.has(name) {
		n, err := p.burials.stored(ctx, name)
		if err != nil {
			return nil, away(err)
		}
		if n == 0 {
			return nil, gone
		}
	}
	return &entry{reg: damrey.Registration{Name: name}}, nil
}
