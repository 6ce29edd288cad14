package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Watcher keeps a [Table] fresh from the fabric's bucket. It goes on with the
// last good table while the broker is away, loads whole and compares after
// every reconnect, and notices when the bucket was made anew or misses rows.
type Watcher struct {
	cfg   WatchConfig
	nc    *nats.Conn
	table atomic.Pointer[Table]
	again chan struct{}
	ready chan struct{}
	fresh atomic.Bool
	log   *throttledLog
	told  told              // the trouble that was logged last
	bad   map[string]uint64 // revisions of rows that cannot be read and were logged
}

// WatchConfig says what a [Watcher] watches.
type WatchConfig struct {
	// Prefix of the fabric; default [DefaultPrefix].
	Prefix string
	// Worker limits the table to one worker's row. Empty: all rows.
	Worker string
	// Last is the table to go on with until one has been read, such as an
	// agent's copy on disk. Nil: none.
	Last *Table
	// OnChange is called after the table changed, from Run's goroutine, with
	// the new table. Nil: nobody is told.
	OnChange func(*Table)
	// Log tells of trouble and of its end. The zero value is silent.
	Log zerolog.Logger
}

const (
	loadTime    = 5 * time.Second // for one load of the table
	askTime     = 2 * time.Second // for one question; one that a restart swallowed is soon asked again
	verifyEvery = 5 * time.Second // between two looks at the bucket itself
	watchRetry  = 500 * time.Millisecond
	// reloadSpread keeps instances that were told at one moment from asking at one.
	reloadSpread = 50 * time.Millisecond
)

// NewWatcher makes a watcher; nothing happens before Run.
func NewWatcher(nc *nats.Conn, cfg WatchConfig) *Watcher {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	w := &Watcher{
		cfg: cfg, nc: nc, again: make(chan struct{}, 1), ready: make(chan struct{}),
		log: newThrottledLog(cfg.Log), bad: make(map[string]uint64),
	}
	w.table.Store(cfg.Last)
	return w
}

// Table as last read; nil before the first.
func (w *Watcher) Table() *Table { return w.table.Load() }

// Ready is closed when a table has been read from the bucket.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Fresh says whether the table follows the bucket now. It is false while the
// bucket cannot be read, and the last good table serves.
func (w *Watcher) Fresh() bool { return w.fresh.Load() }

// Run watches until ctx ends, and returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	status := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(status)
	uplink, err := w.nc.Subscribe(UplinkSubject(w.cfg.Prefix), func(m *nats.Msg) {
		if string(m.Data) == "up" {
			w.Reload()
		}
	})
	if err != nil {
		return fmt.Errorf("damrey: watch: %w", err)
	}
	defer func() { _ = uplink.Unsubscribe() }() // fails only on a closed connection
	defer w.log.flush()
	for ctx.Err() == nil {
		var err error
		if w.nc.IsConnected() {
			err = w.session(ctx, status)
		}
		if !w.nc.IsConnected() { // what a question met instead says less
			err = errNotConnected
		}
		w.fresh.Store(false)
		w.report(ctx, err)
		if err != nil {
			w.askAgent(ctx)
			w.pause(ctx, status)
		}
	}
	return nil
}

// Reload reads the whole table again soon.
func (w *Watcher) Reload() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

var errNotConnected = errors.New("no connection to NATS")

// told is what trouble was logged last.
type told struct {
	text  string    // empty: there is none
	since time.Time // when trouble began
	at    time.Time // when it was logged
}

// tellAgain is how often trouble that lasts is logged.
const tellAgain = time.Minute

// news says whether trouble is to be logged now: a new one, and one that lasts
// from time to time.
func (t *told) news(text string, now time.Time) bool {
	if t.text == "" {
		t.since = now
	}
	if text == t.text && now.Sub(t.at) < tellAgain {
		return false
	}
	t.text, t.at = text, now
	return true
}

// report logs trouble.
func (w *Watcher) report(ctx context.Context, err error) {
	now := time.Now()
	if err == nil || ctx.Err() != nil || !w.told.news(err.Error(), now) {
		return
	}
	e := w.cfg.Log.Warn().Err(err)
	if errors.Is(err, errNotConnected) {
		e = e.Str("url", redact(strings.Join(w.nc.Servers(), ",")))
	}
	if lasted := now.Sub(w.told.since); lasted > 0 {
		e = e.Stringer("for", lasted.Round(time.Second))
	}
	if t := w.Table(); t != nil {
		e = e.Int("rows_kept", len(t.rows))
	}
	e.Msg("cannot read the routing table; trying on, with the last good one if there is one")
}

func (w *Watcher) pause(ctx context.Context, status <-chan nats.Status) {
	timer := time.NewTimer(jitter(watchRetry))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-status:
	case <-w.again:
	case <-ctx.Done():
	}
}

// session loads the table and follows it until something asks for another
// session (nil) or fails.
func (w *Watcher) session(ctx context.Context, status <-chan nats.Status) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := w.load(ctx, s); err != nil {
		return err
	}
	verify := time.NewTicker(jitter(verifyEvery))
	defer verify.Stop()
	for {
		select {
		case e, ok := <-s.watch.Updates():
			if !ok {
				return errors.New("the watch on the bucket ended")
			}
			if e != nil {
				s.seen = max(s.seen, e.Revision())
				w.apply(e)
			}
		case <-status:
			spread(ctx)
			return nil
		case <-w.again:
			spread(ctx)
			return nil
		case <-verify.C:
			w.log.flush()
			if same, err := w.verify(ctx, s); err != nil || !same {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func spread(ctx context.Context) {
	timer := time.NewTimer(jitter(reloadSpread))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watching is what one session has open.
type watching struct {
	stream  jetstream.Stream
	watch   jetstream.KeyWatcher
	created time.Time
	seen    uint64 // the highest revision
}

func (s *watching) close() {
	// The connection may be gone, and the server forgets the watch by itself.
	_ = s.watch.Stop()
	// The watch's goroutine may stand before a full channel.
	go func() {
		for range s.watch.Updates() {
		}
	}()
}

func (w *Watcher) open(ctx context.Context) (*watching, error) {
	js, err := jetstream.New(w.nc)
	if err != nil {
		return nil, err
	}
	short, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	name := bucket.Name(w.cfg.Prefix)
	stream, err := js.Stream(short, "KV_"+name)
	if err != nil {
		return nil, openError(name, err)
	}
	kv, err := js.KeyValue(short, name)
	if err != nil {
		return nil, openError(name, err)
	}
	key := w.cfg.Worker
	if key == "" {
		key = ">"
	}
	watch, err := kv.Watch(ctx, key)
	if err != nil {
		return nil, openError(name, err)
	}
	return &watching{stream: stream, watch: watch, created: stream.CachedInfo().Created}, nil
}

func openError(name string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		return fmt.Errorf("the bucket %s does not exist yet; start `damrey proxy`, which makes it: %w", name, err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return fmt.Errorf("JetStream does not answer: the broker is away, or has it off: %w", err)
	case errors.Is(err, jetstream.ErrMaximumConsumersLimit):
		return fmt.Errorf("the bucket %s has as many watchers as its server allows; raise `jetstream { limits { default_max_consumers: -1 } }` there: %w", name, err)
	}
	return fmt.Errorf("bucket %s: %w", name, err)
}

// load reads the whole table, checks it against the stream's own count, and
// swaps it in.
func (w *Watcher) load(ctx context.Context, s *watching) error {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	old := w.Table()
	next := &Table{Created: s.created, rows: make(map[string]*Row)}
	keys := 0
	for {
		select {
		case e, ok := <-s.watch.Updates():
			if !ok {
				return errors.New("the watch on the bucket ended while loading")
			}
			if e == nil {
				return w.loaded(ctx, s, old, next, keys)
			}
			keys++
			s.seen = max(s.seen, e.Revision())
			w.put(next, e)
		case <-ctx.Done():
			return fmt.Errorf("the bucket did not give all its rows within %v: %w", loadTime, ctx.Err())
		}
	}
}

func (w *Watcher) loaded(ctx context.Context, s *watching, old, next *Table, keys int) error {
	want, err := w.countKeys(ctx, s)
	if err != nil {
		return err
	}
	if keys < want {
		return fmt.Errorf("the bucket is damaged: it holds %d keys and gave %d", want, keys)
	}
	if old != nil && !old.Created.IsZero() && !old.Created.Equal(next.Created) {
		w.cfg.Log.Warn().Time("was", old.Created).Time("is", next.Created).Int("rows", len(next.rows)).
			Msg("the bucket was made anew; the table was loaded whole")
	}
	if w.told.text != "" {
		w.told = told{}
		w.cfg.Log.Info().Int("rows", len(next.rows)).Msg("the routing table is read again")
	}
	w.table.Store(next)
	w.fresh.Store(true)
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
	w.changed(next)
	return nil
}

// countKeys asks the stream how many keys the watch should have given.
func (w *Watcher) countKeys(ctx context.Context, s *watching) (int, error) {
	if w.cfg.Worker == "" {
		info, err := s.stream.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("the bucket's state: %w", err)
		}
		return int(info.State.NumSubjects), nil
	}
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(w.subject()))
	if err != nil {
		return 0, fmt.Errorf("the bucket's state: %w", err)
	}
	return len(info.State.Subjects), nil
}

// verify notices what a watch does not tell: the bucket was deleted or made
// anew, or an update was missed.
func (w *Watcher) verify(ctx context.Context, s *watching) (same bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("the bucket's state: %w", err)
	}
	if !info.Created.Equal(s.created) {
		return false, nil
	}
	last := info.State.LastSeq
	if w.cfg.Worker != "" {
		last, err = w.lastRevision(ctx, s)
	}
	return last <= s.seen, err
}

// lastRevision of the one row that is watched; 0 when it never was.
func (w *Watcher) lastRevision(ctx context.Context, s *watching) (uint64, error) {
	m, err := s.stream.GetLastMsgForSubject(ctx, w.subject())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the bucket's last row: %w", err)
	}
	return m.Sequence, nil
}

// subject under which the bucket keeps the one row that is watched.
func (w *Watcher) subject() string {
	return "$KV." + bucket.Name(w.cfg.Prefix) + "." + w.cfg.Worker
}

// apply takes one update.
func (w *Watcher) apply(e jetstream.KeyValueEntry) {
	old := w.Table()
	next := &Table{Created: old.Created, rows: maps.Clone(old.rows)}
	w.put(next, e)
	w.table.Store(next)
	w.changed(next)
}

func (w *Watcher) changed(t *Table) {
	if w.cfg.OnChange != nil {
		w.cfg.OnChange(t)
	}
}

// put enters one key into a table that nobody has seen yet. A row that cannot
// be read leaves the last good one in place.
func (w *Watcher) put(t *Table, e jetstream.KeyValueEntry) {
	name := e.Key()
	if e.Operation() != jetstream.KeyValuePut {
		delete(t.rows, name)
		delete(w.bad, name)
		return
	}
	row, err := readRow(w.cfg.Prefix, name, e.Value(), e.Revision())
	if err == nil {
		t.rows[name] = row
		delete(w.bad, name)
		return
	}
	if w.bad[name] != e.Revision() {
		w.bad[name] = e.Revision()
		w.log.warn("a row of the routing table cannot be read; the last good one stays in use", func(line *zerolog.Event) {
			line.Err(err).Str("worker", name).Uint64("revision", e.Revision())
		})
	}
	if last := w.Table().Row(name); last != nil {
		t.rows[name] = last
	}
}

// readRow reads a row as the table holds it, leniently: what a newer version
// wrote is kept and ignored.
func readRow(prefix, name string, value []byte, revision uint64) (*Row, error) {
	var reg Registration
	if err := json.Unmarshal(value, &reg); err != nil {
		return nil, err
	}
	if reg.Name != name {
		return nil, fmt.Errorf("the row under the key %q is of worker %q", name, clip(reg.Name))
	}
	if err := reg.Validate(); err != nil {
		return nil, err
	}
	return newRow(prefix, reg, revision), nil
}
