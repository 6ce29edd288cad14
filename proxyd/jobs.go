package proxyd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

const (
	// keepEvery is how often the streams of durable routes are looked at though nothing changed.
	keepEvery = 30 * time.Second
	// keepRetry is the pause after a failure.
	keepRetry = time.Second
	// manyStreams is how many streams of jobs are supported. In a cluster of three, 100 replicated streams cost 142 MB
	// and 3,700 goroutines over all nodes (measured with nats-server 2.15).
	manyStreams = 200
	// keyedWeight is how many streams one with the consumers for keys counts as when there are copies, since each consumer
	// has an election of its own: 37 goroutines and 1 MB over three nodes without, 290 and 8.8 MB with (measured).
	keyedWeight = 8
)

// keeper makes the streams that durable routes need, and changes their limits. The proxies of a cluster take turns; any
// number of them may do so at once too, since all want the same. A stream that no route leads to any more stays, with what it holds.
type keeper struct {
	store *store
	turn  *turn

	mu    sync.Mutex // guards table, seen and calm
	table *damrey.Table
	seen  map[string]uint64 // how many messages each stream held when it was last looked at, by stream
	calm  time.Time         // not before: somebody restores the streams

	look chan struct{}

	// tell is told of every table. Nil: nobody is.
	tell func(*damrey.Table)

	resume chan struct{} // look whether messages need not wait any more

	// settle finishes what a proxy before this one left half done.
	settle func(context.Context) error
	made   map[string]kept      // streams that this keeper has seen to be there, by worker
	logs   map[string]time.Time // when those of dead letters, of failures and of what is sent later that it has seen were made, by stream
	lost   map[string]forgotten // by worker
	warned bool
}

// kept is a stream as it was when it was last looked at.
type kept struct {
	limits bucket.Limits
	first  uint64 // sequence of the oldest
	keyed  bool   // it has the consumers for keys
}

func newKeeper(s *store, node string, settle func(context.Context) error) *keeper {
	k := &keeper{
		store: s, settle: settle, look: make(chan struct{}, 1), resume: make(chan struct{}, 1),
		seen: make(map[string]uint64), made: make(map[string]kept), logs: make(map[string]time.Time), lost: make(map[string]forgotten),
	}
	k.turn = newKeeperTurn(s, node, k.again)
	return k
}

// run keeps until ctx ends. It begins when the buckets are there.
func (k *keeper) run(ctx context.Context, ready <-chan struct{}) {
	select {
	case <-ready:
	case <-ctx.Done():
		return
	}
	watcher := damrey.NewWatcher(k.store.nc, damrey.WatchConfig{Prefix: k.store.prefix, OnChange: k.changed}) // the bridge's watcher says what is wrong with the table
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := watcher.Run(ctx); err != nil {
			k.store.log.Error().Err(err).Msg("the table is not watched; new durable routes get no streams")
		}
	})
	watching.Go(func() { k.releaseHeld(ctx) })
	watching.Go(func() { k.turn.run(ctx) })
	defer watching.Wait()
	defer k.watchDeletions()()
	k.repeat(ctx, k.look, k.keep, "a stream of jobs cannot be made yet")
}

// repeat does something when it is told to, and every now and then, while it is this proxy's turn, until ctx ends.
func (k *keeper) repeat(ctx context.Context, told <-chan struct{}, do func(context.Context) error, failed string) {
	for wait := time.Duration(0); ; {
		select {
		case <-told:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = keepEvery/2 + rand.N(keepEvery)
		if !k.turn.mine() {
			continue
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			k.store.log.Warn().Err(err).Stringer("again_in", keepRetry).Msg(failed)
			wait = keepRetry
		}
	}
}

func (k *keeper) changed(t *damrey.Table) {
	k.mu.Lock()
	before := k.table
	k.table = t
	k.mu.Unlock()
	if k.tell != nil {
		k.tell(t)
	}
	k.again()
	if held(before) > 0 {
		// Senders that learn of it later store some aside still.
		k.againAfter(300*time.Millisecond, time.Second, 3*time.Second)
	}
}

// held is how many durable routes are paused.
func held(t *damrey.Table) (n int) {
	if t == nil {
		return 0
	}
	for _, row := range t.Rows() {
		for _, c := range row.Registration.Commands {
			if c.Paused && c.Delivery == damrey.Durable {
				n++
			}
		}
	}
	return n
}

// again makes it look now.
func (k *keeper) again() {
	for _, c := range []chan struct{}{k.look, k.resume} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// againAfter makes it look later too, for what is not to be seen yet.
func (k *keeper) againAfter(pauses ...time.Duration) {
	for _, pause := range pauses {
		time.AfterFunc(pause, k.again)
	}
}

// current is the table as it was last seen; nil before.
func (k *keeper) current() *damrey.Table {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.table
}

// keep makes what is missing. A failure with one stream does not keep the others from being made.
func (k *keeper) keep(ctx context.Context) error {
	if k.isRestored() {
		return nil
	}
	table := k.current()
	settled := k.settle(ctx)
	targets := durableTargets(table)
	// One that no route leads to any more may go, with its worker.
	maps.DeleteFunc(k.made, func(worker string, _ kept) bool { _, led := targets[worker]; return !led })
	failed := []error{settled, k.lookAtLogs(ctx)}
	if len(targets) == 0 || k.isRestored() {
		return errors.Join(failed...)
	}
	k.warnOfMany(targets)
	failed = append(failed, bucket.EnsureDead(ctx, k.store.js, k.store.prefix), k.lookAtLogs(ctx))
	for worker, keyed := range targets {
		failed = append(failed, k.keepOne(ctx, worker, limitsOf(table, worker), keyed))
	}
	return errors.Join(failed...)
}

// warnOfMany says once that there are more streams than are supported.
func (k *keeper) warnOfMany(targets map[string]bool) {
	load := 0
	for _, keyed := range targets {
		load++
		if keyed && bucket.Copies(k.store.js) > 1 {
			load += keyedWeight - 1
		}
	}
	if load > manyStreams && !k.warned {
		k.warned = true
		k.store.log.Warn().Int("workers", len(targets)).Int("load", load).Int("supported", manyStreams).
			Msg("durable routes lead to more workers than are supported; each has a stream of its own, and with a key and copies it counts as eight")
	}
}

func (k *keeper) keepOne(ctx context.Context, worker string, limits bucket.Limits, keyed bool) error {
	name := bucket.JobsStream(k.store.prefix, worker)
	before, known := k.made[worker]
	keyed = keyed || before.keyed
	if known && k.isMissing(ctx, name, before) {
		known, before.keyed = false, false
		delete(k.made, worker)
	}
	if k.isRestored() { // since this look began
		return nil
	}
	if err := bucket.EnsureJobs(ctx, k.store.js, k.store.prefix, worker, limits); err != nil {
		return err
	}
	if keyed && !before.keyed {
		if err := bucket.EnsureKeyed(ctx, k.store.js, k.store.prefix, worker); err != nil {
			return err
		}
		known = false
	}
	stream, err := k.store.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	if err := errors.Join(k.removeDone(ctx, worker, before, state), k.handOutForgotten(ctx, worker)); err != nil {
		return err
	}
	ids, err := k.ids(ctx, worker, state)
	if err != nil {
		return err
	}
	k.made[worker] = kept{limits: limits, first: state.FirstSeq, keyed: keyed}
	k.saw(name, state.Msgs-ids)
	if limits != before.limits {
		k.sayOver(name, limits, state, ids)
	}
	if known {
		return nil
	}
	k.store.log.Info().Str("stream", name).Msg("durable messages are stored")
	// Best effort: instances look by themselves every now and then.
	return k.store.nc.Publish(damrey.JobsSubject(k.store.prefix, worker), nil)
}

// ids are how many of what a stream of jobs holds are no messages.
func (k *keeper) ids(ctx context.Context, worker string, state jetstream.StreamState) (uint64, error) {
	if state.Msgs == 0 {
		return 0, nil
	}
	n, err := bucket.IDs(ctx, k.store.js, k.store.prefix, worker)
	return min(n, state.Msgs), err // some came in between
}

// removeDone looks for what is done and stored nevertheless, when the oldest message is still the oldest, and at first.
func (k *keeper) removeDone(ctx context.Context, worker string, before kept, now jetstream.StreamState) error {
	if now.Msgs == 0 || before.first != 0 && before.first != now.FirstSeq {
		return nil
	}
	n, err := bucket.RemoveDone(ctx, k.store.js, k.store.prefix, worker)
	if n > 0 {
		k.store.log.Warn().Str("worker", worker).Int("messages", n).
			Msg("messages were done and still stored, since the broker ended in between; they are removed")
	}
	return err
}

// sayOver says that more is stored than a new limit allows.
func (k *keeper) sayOver(stream string, limits bucket.Limits, state jetstream.StreamState, ids uint64) {
	if over(limits.Messages, state.Msgs) || over(limits.Bytes, state.Bytes) {
		k.store.log.Warn().Str("stream", stream).Uint64("messages", state.Msgs-ids).Uint64("ids", ids).Int64("max_messages", limits.Messages).
			Uint64("bytes", state.Bytes).Int64("max_bytes", limits.Bytes).
			Msg("more is stored than the limits allow now; nothing is removed, and new messages are refused until there is room")
	}
}

func over(limit int64, stored uint64) bool { return limit > 0 && stored > uint64(limit) }

// durableTargets are the workers that durable routes lead to, and whether some have a key.
func durableTargets(t *damrey.Table) map[string]bool {
	targets := make(map[string]bool)
	for _, row := range t.Rows() {
		for _, c := range row.Registration.Commands {
			if c.Delivery == damrey.Durable {
				targets[c.Worker] = targets[c.Worker] || c.Key != 0
			}
		}
	}
	return targets
}

func limitsOf(t *damrey.Table, worker string) bucket.Limits {
	row := t.Row(worker)
	if row == nil {
		return bucket.Limits{}
	}
	return bucket.Limits{Messages: int64(row.Registration.MaxMessages), Bytes: int64(row.Registration.MaxBytes)}
}

// What happens to the stored messages of a worker that is deleted.
const (
	keepJobs = "keep"
	deadJobs = "dead"
)

// checkJobs refuses to delete a worker whose messages are stored, unless it was said what shall become of them.
func (p *Proxy) checkJobs(ctx context.Context, worker, jobs string) error {
	switch jobs {
	case keepJobs:
		return nil
	case "":
	default:
		const message = "unknown; jobs=keep leaves the messages stored until the worker is added again, jobs=dead moves them to the dead letters"
		return at(problem(http.StatusUnprocessableEntity, "jobs %q is %s", shorten(jobs), message), "query.jobs", message, shorten(jobs))
	}
	if damrey.CheckWorkerName(worker) != nil {
		return nil // nothing can be stored for what is no worker's name
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n, err := p.burials.stored(ctx, worker)
	if err != nil {
		return away(err)
	}
	if n > 0 {
		return problem(http.StatusConflict,
			"%s stored for worker %q; let its instances work them off, keep them until it is added again, or make them dead letters: "+
				"`damrey worker del %s --jobs keep` or `--jobs dead`, or ?jobs=keep or ?jobs=dead", areStored(n), worker, worker)
	}
	return nil
}

func areStored(n uint64) string {
	if n == 1 {
		return "1 message is"
	}
	return fmt.Sprintf("%d messages are", n)
}
