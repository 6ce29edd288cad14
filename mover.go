package damrey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const (
	// moverPause is how long a mover waits after a failure of its own.
	moverPause = time.Second
	// moverBeat is how often the broker says that it is there while nothing is due.
	moverBeat = 2 * time.Second
	// moverExpiry is how long one pull lasts.
	moverExpiry = 10 * time.Second
	// moverAhead is how many messages that are due a mover holds at most.
	moverAhead = 128
	// moverBudget is what a handler gets for a message on a direct route.
	moverBudget = 5 * time.Second
	// tooOldPause is how long a mover waits for another server.
	tooOldPause = time.Minute
)

// Mover moves messages that were sent later along today's routes when they are
// due. Every proxy runs one; each message is moved by one of them.
type Mover struct {
	cfg   MoverConfig
	link  *link
	js    jetstream.JetStream
	log   *throttledLog
	stats counters
	ready chan struct{}
}

// MoverConfig says what a [Mover] needs.
type MoverConfig struct {
	// Prefix of the fabric; default [DefaultPrefix].
	Prefix string
	// Name of who runs it, for dead letters.
	Name string
	// Table gives the routing table; nil as long as there is none.
	Table func() *Table
	// Log tells of trouble. The zero value is silent.
	Log zerolog.Logger
}

// NewMover makes a mover on a connection that the caller closes.
func NewMover(js jetstream.JetStream, cfg MoverConfig) *Mover {
	cfg.Prefix = cmp.Or(cfg.Prefix, DefaultPrefix)
	m := &Mover{cfg: cfg, js: js, log: newThrottledLog(cfg.Log), ready: make(chan struct{})}
	m.link = newLink(js.Conn(), cfg.Prefix, Config{}.withDefaults().Rc, nil, m.log, &m.stats, nil)
	return m
}

// Ready is closed when messages can be stored until they are due.
func (m *Mover) Ready() <-chan struct{} { return m.ready }

// Stats is a snapshot of what the mover has counted.
func (m *Mover) Stats() Stats { return m.stats.snapshot() }

// Run makes the stream of what is sent later and moves what is due until ctx
// ends, lets what it has in hand leave, and returns nil then. It is called once.
func (m *Mover) Run(ctx context.Context) error {
	if err := m.link.open(); err != nil {
		return fmt.Errorf("damrey: mover: %w", err)
	}
	defer m.link.close()
	ready := sync.OnceFunc(func() { close(m.ready) })
	for ctx.Err() == nil {
		err := bucket.EnsureLater(ctx, m.js, m.cfg.Prefix)
		if err == nil {
			ready()
			err = m.pull(ctx)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		wait := jitter(moverPause)
		if errors.Is(err, bucket.ErrTooOld) {
			wait = tooOldPause
		}
		m.log.warn("what is due cannot be moved yet", func(e *zerolog.Event) { e.Err(err).Stringer("again_in", wait) })
		pause(ctx, wait)
	}
	m.finish()
	return nil
}

// pull takes what is due until ctx ends, or the broker or the stream is gone.
func (m *Mover) pull(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	consumer, err := m.js.Consumer(asking, bucket.LaterStream(m.cfg.Prefix), bucket.LaterConsumer)
	if err != nil {
		return err
	}
	due, err := consumer.Messages(jetstream.PullMaxMessages(moverAhead), jetstream.PullExpiry(moverExpiry), jetstream.PullHeartbeat(moverBeat))
	if err != nil {
		return err
	}
	defer due.Stop()
	// What is on its way here still comes, and is not left to the ack wait.
	defer context.AfterFunc(ctx, due.Drain)()
	for {
		msg, err := due.Next()
		switch {
		case err == nil:
			m.take(ctx, msg)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed) && ctx.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

// finish lets go what is in hand. What does not leave in time comes again, from
// another proxy or the next.
func (m *Mover) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := m.link.settleStores(ctx)
	if err == nil {
		err = m.link.flush(ctx)
	}
	if err != nil && !errors.Is(err, ErrUndelivered) { // each of those was told when it happened
		m.log.Warn().Err(err).Msg("the mover stopped with messages in hand; they come due again")
	}
}
