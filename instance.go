package damrey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Instance is one running process of a worker. All instances of a worker share
// its load. Its methods are safe for concurrent use; [Instance.Handle] comes
// before Run or Serve.
type Instance struct {
	cfg         Config
	opts        options
	wrong       error // of cfg and opts, returned by Serve
	log         *throttledLog
	id          string
	subjectHead int // bytes of <prefix>.msg.<worker>.

	mu      sync.Mutex // guards mux until Serve, and what follows
	mux     mux
	running bool

	stats    counters
	ins      *inRoutes
	sender   *report.Sender
	state    atomic.Value // report.State
	started  time.Time    // when Serve was called
	taps     taps
	view     atomic.Pointer[view]
	loaded   chan struct{} // closed when view was set for the first time
	ready    chan struct{} // closed when messages can reach this instance
	stopping chan struct{} // closed by Stop
	ended    chan struct{} // closed when all is over
	halt     sync.Once

	link     *link // made by Serve, before loaded is closed
	dispatch *dispatcher
	batches  batches
	channels channels
	lane     sendLane
	tracer   tracer
	jobs     jobsInHand
	blind    atomic.Int64 // moment when a job's failures could not be read last
	jobHead  string       // <prefix>.job.<worker>.
	puller   background
	fallback HandlerFunc // for types without a handler
	handling context.Context
	stall    stall
	gate     chan struct{} // look again whether to receive
	pulling  chan struct{} // look again whether to pull
	receives atomic.Bool
	over     atomic.Bool
	joined   atomic.Pointer[nats.Subscription] // the last one, for what it dropped
	pool     sync.Pool                         // *[]byte
	callPool sync.Pool                         // *call
}

var _ Worker = (*Instance)(nil)

// New makes an instance. It does nothing before Run or Serve, which also
// return what is wrong with cfg and opts. The zero log is silent.
func New(cfg Config, log zerolog.Logger, opts ...Option) *Instance {
	w := &Instance{
		cfg:      cfg.withDefaults(),
		opts:     newOptions(opts),
		id:       newInstanceID(),
		loaded:   make(chan struct{}),
		ready:    make(chan struct{}),
		stopping: make(chan struct{}),
		ended:    make(chan struct{}),
		gate:     make(chan struct{}, 1),
		pulling:  make(chan struct{}, 1),
	}
	w.log = newThrottledLog(log.With().Str("worker", cfg.Name).Str("instance", w.id).Logger())
	w.wrong = errors.Join(w.cfg.validate(), w.opts.validate())
	w.jobHead = jobSubject(w.opts.prefix, cfg.Name, "", "")
	w.jobHead = w.jobHead[:len(w.jobHead)-1]
	w.subjectHead = len(inboundSubject(w.opts.prefix, cfg.Name)) - len("*.*")
	w.channels.init()
	w.lane.init()
	w.state.Store(report.Waiting)
	w.sender = report.NewSender(w.opts.prefix, w.beat, w.publishBeat)
	if !w.opts.silent {
		w.ins = newInRoutes()
	}
	w.tracer.init(w.opts.prefix, cfg.Name, w.id, w.opts.sampling, w.opts.tracer)
	w.dispatch = newDispatcher(DefaultMPU, w.opts.queue, w.process, w.backlog)
	w.pool.New = func() any { b := make([]byte, 0, 256); return &b }
	w.callPool.New = func() any { return &call{done: make(chan answer, 1)} }
	return w
}

// ID of this instance: random, and in `nats micro ls`.
func (w *Instance) ID() string { return w.id }

// Ready is closed when messages can reach this instance: its worker is
// registered, and a probe through the broker came back.
func (w *Instance) Ready() <-chan struct{} { return w.ready }

// Stats is a snapshot of what the instance has counted.
func (w *Instance) Stats() Stats {
	s := w.stats.snapshot()
	s.InFlight, s.Queued = w.dispatch.load()
	if sub := w.joined.Load(); sub != nil {
		// An error means that the subscription has ended and dropped nothing more.
		if n, err := sub.Dropped(); err == nil && n > 0 {
			s.Busy += uint64(n)
		}
	}
	if w.view.Load() != nil {
		s.Waiting = int(w.link.calls.n.Load())
	}
	return s
}

// Run runs the instance until Stop. What goes wrong at the start is logged;
// use Serve to get it as an error.
func (w *Instance) Run() {
	if err := w.Serve(context.Background()); err != nil {
		w.log.Error().Err(err).Msg("the instance did not run")
	}
}

// Serve runs the instance until ctx ends or Stop is called, drains it, and
// returns nil then. It returns an error for a wrong Config, option or call of
// Handle, and when it was called before.
//
// While the broker cannot be reached, or the worker is not registered, it
// waits and says so.
func (w *Instance) Serve(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	defer func() { w.over.Store(true); close(w.ended) }()
	defer w.channels.shut()
	if w.stopped() {
		return nil
	}
	nc, own, err := w.connect()
	if err != nil {
		return err
	}
	if own {
		defer nc.Close()
	}
	return w.serve(ctx, nc)
}

// begin checks everything that can be wrong before anything is opened.
func (w *Instance) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		return fmt.Errorf("%w (worker %q)", ErrAlreadyRun, w.cfg.Name)
	}
	if err := errors.Join(w.wrong, w.mux.seal()); err != nil {
		return err
	}
	w.running = true
	w.fallback = w.noHandler
	if len(w.mux.handlers) == 0 || w.channels.wanted() {
		w.fallback = w.toChannel
	}
	return nil
}

func (w *Instance) connect() (nc *nats.Conn, own bool, err error) {
	if w.opts.conn != nil {
		return w.opts.conn, false, nil
	}
	c := w.opts.connect
	if c.Name == "" {
		c.Name = w.cfg.Name
	}
	c.Log = w.log.Logger
	nc, err = Connect(c)
	return nc, true, err
}

func (w *Instance) serve(ctx context.Context, nc *nats.Conn) error {
	var outs *outRoutes
	if !w.opts.silent {
		outs = newOutRoutes()
	}
	w.started = time.Now().UTC()
	w.link = newLink(nc, w.opts.prefix, w.cfg.Rc, w.opts.replyPrefixes, w.log, &w.stats, outs)
	w.batches.l, w.batches.tracer, w.tracer.l = w.link, &w.tracer, w.link
	if err := w.link.open(); err != nil {
		return fmt.Errorf("damrey: inbox: %w", err)
	}
	handling, endHandling := context.WithCancel(context.Background())
	defer endHandling()
	w.handling = handling

	background, endBackground := context.WithCancel(context.Background())
	var group sync.WaitGroup
	watcher := NewWatcher(nc, WatchConfig{Prefix: w.opts.prefix, Worker: w.cfg.Name, Log: w.log.Logger})
	watcher.cfg.OnChange = func(t *Table) { w.look(t, !watcher.Fresh()) }
	group.Go(func() { w.runWatcher(background, watcher) })
	w.stall.start()
	group.Go(func() { w.stall.run(background) })
	group.Go(func() { w.keepJobs(background) })
	w.report(background, &group, nc)
	group.Go(func() { w.tracer.run(background) })
	services, err := w.answerServices(nc)
	if err != nil {
		w.log.Warn().Err(err).Msg("this instance will not be in `nats micro ls`")
	}

	asked, err := nc.Subscribe(WhereSubject(w.opts.prefix, w.cfg.Name), w.tellWhereabouts)
	if err != nil {
		w.log.Warn().Err(err).Msg("requests that time out here will not say so")
	}

	receiving, endReceiving := context.WithCancel(ctx)
	group.Go(func() {
		select {
		case <-w.stopping:
			endReceiving()
		case <-receiving.Done():
		}
	})
	w.keepGate(receiving, nc)
	endReceiving()
	w.finish(endHandling)
	if services != nil {
		services.Stop()
	}
	w.taps.close()
	if asked != nil {
		_ = asked.Unsubscribe() // fails only on a closed connection
	}
	endBackground()
	group.Wait()
	w.link.close()
	// What was published last must leave before the connection closes.
	_ = nc.FlushTimeout(time.Second)
	return nil
}

func (w *Instance) runWatcher(ctx context.Context, watcher *Watcher) {
	if err := watcher.Run(ctx); err != nil {
		w.log.Error().Err(err).Msg("the routing table is not watched")
	}
}

// look takes a new table into use, between two messages.
func (w *Instance) look(t *Table, stale bool) {
	row := t.Row(w.cfg.Name)
	last := row
	if was := w.view.Load(); last == nil && was != nil {
		last = was.last
	}
	before := w.view.Swap(&view{row: row, last: last, stale: stale})
	if row != nil {
		w.dispatch.resize(row.Registration.Capacity())
	}
	if paused := row.paused(); paused != before.paused() {
		w.sayPaused(paused)
	}
	if before == nil {
		close(w.loaded)
	}
	w.link.kick(w.gate)
	w.link.kick(w.pulling)
}

// Stop ends the instance and returns when all is over. What was received is
// finished within the drain time. It may be called twice, before Run, and from
// the reader of RecvChannel; a handler must not call it.
func (w *Instance) Stop() {
	w.halt.Do(func() { w.over.Store(true); close(w.stopping) })
	w.mu.Lock()
	if !w.running {
		w.running = true
		close(w.ended)
		w.channels.shut()
	}
	w.mu.Unlock()
	<-w.ended
}

// stopped says that Stop was called or Serve has ended.
func (w *Instance) stopped() bool { return w.over.Load() }

// backlog is how many messages the connection has read and nobody has looked at.
func (w *Instance) backlog() int {
	sub := w.joined.Load()
	if sub == nil {
		return 0
	}
	n, _, err := sub.Pending()
	if err != nil {
		return 0 // it has ended
	}
	return n
}

func (w *Instance) buffer() *[]byte { return w.pool.Get().(*[]byte) }

// release keeps small buffers for the next message.
func (w *Instance) release(b *[]byte) {
	if cap(*b) <= keepPayload {
		w.pool.Put(b)
	}
}

func (w *Instance) newCall() *call { return w.callPool.Get().(*call) }

// recycle takes back a call that is out of the table and answered, or was
// never in it.
func (w *Instance) recycle(c *call) {
	if cap(c.payload) <= keepPayload {
		done, payload := c.done, c.payload
		*c = call{done: done, payload: payload}
		w.callPool.Put(c)
	}
}
