package damrey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/internal/inbox"
)

// link is one connection's way out and back: it publishes with ids in the
// reply subject, hears on its inbox what came of it, pushes again, keeps the
// requests that wait for an answer, and confirms sends.
//
// Lock order: ring.mu before the connection's own lock; a shard of calls never
// together with ring.mu.
type link struct {
	nc       *nats.Conn
	prefix   string
	inbox    string // <inbox prefix>.<random>; the link subscribes <inbox>.>
	replies  inbox.Prefixes
	attempts int
	log      *throttledLog
	count    *counters
	outs     *outRoutes

	ring      ring
	reply     []byte        // scratch of add, guarded by ring.mu
	dirty     chan struct{} // the ring is no longer empty
	urgent    chan struct{} // confirm now
	marked    chan uint64   // markers that came back
	calls     calls
	outbox    outbox
	stores    stores
	noStream  noStream
	held      heldBack
	handed    handed
	asking    allowance // of questions where a request is
	state     linkState
	scratch   sync.Pool // *[]byte, payloads about to be published
	closed    chan struct{}
	closing   sync.Once
	events    undeliveredEvents
	retries   retries
	assurance assurance
	unknown   atomic.Int64 // messages of unknown fate since the last flush

	sub  *nats.Subscription
	wg   sync.WaitGroup
	gen  atomic.Uint64 // of markers
	jobs atomic.Uint64 // ids of stored messages that were made up
	// windowBegan is the count of reconnects when the oldest unconfirmed push
	// was published; when it has grown, the fate of those is unknown.
	windowBegan atomic.Uint64
}

const inboxRandom = 10

func newLink(nc *nats.Conn, prefix string, attempts int, replies []string, log *throttledLog, count *counters, outs *outRoutes) *link {
	own := nc.NewInbox()
	own = own[:strings.LastIndexByte(own, '.')+1]
	l := &link{
		nc: nc, prefix: prefix, attempts: attempts,
		inbox:   own + rand.Text()[:inboxRandom],
		replies: inbox.Of(nc, replies),
		log:     log, count: count, outs: outs,
		dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1), marked: make(chan uint64, 1),
		closed: make(chan struct{}),
	}
	l.gen.Store(mathrand.Uint64() >> 1)
	l.assurance.init()
	l.calls.init(l.expire)
	l.calls.ask, l.asking.each = l.askWhere, askedEach
	l.outbox.quiet.L = &l.outbox.mu
	l.scratch.New = func() any { return new([]byte) }
	return l
}

// open subscribes the inbox and starts confirming.
func (l *link) open() error {
	if l.nc.Opts.NoEcho {
		return errors.New("damrey: the connection has nats.NoEcho, and without its own echo nothing can be confirmed; make it without")
	}
	sub, err := l.nc.Subscribe(l.inbox+".>", l.receive)
	if err != nil {
		return err
	}
	l.sub = sub
	status := l.nc.StatusChanged()
	l.state.read(l.nc)
	l.wg.Go(l.confirmLoop)
	l.wg.Go(func() { l.state.follow(l.nc, status, l.closed) })
	// What comes back is one message for each that went out, and those are
	// bounded by the ring and by the callers: no limit of its own.
	return sub.SetPendingLimits(-1, -1)
}

// close ends everything. Calls under way get STOP.
func (l *link) close() {
	l.closing.Do(func() {
		l.assurance.finish(l, assureEvery)
		l.held.close()
		close(l.closed)
		l.retries.stop(l)
		l.events.close(l)
		l.outbox.settle()
		l.stores.close(l)
		if l.sub != nil {
			// Fails only on a closed connection, where it is gone anyway.
			_ = l.sub.Unsubscribe()
		}
		l.calls.close()
		l.wg.Wait()
		l.log.flush()
	})
}

func (l *link) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// inboxToken is random and this link's own.
func (l *link) inboxToken() string { return l.inbox[strings.LastIndexByte(l.inbox, '.')+1:] }

// kick signals a channel of one place without waiting.
func (l *link) kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// mayAnswer: the library answers to inboxes only, so that nobody can make a
// worker write somewhere else by naming it as the reply subject.
func (l *link) mayAnswer(subject string) bool { return l.replies.Has(subject) }

// checkSize says ErrTooLarge naming both sizes.
func (l *link) checkSize(payload []byte, at fmt.Stringer) *fabricError {
	limit := l.state.maxPayload.Load()
	if limit <= 0 || int64(len(payload)) <= limit {
		return nil
	}
	return tooLarge(len(payload), limit, at.String())
}

// checkStored says ErrTooLarge of a message to be stored that leaves no room for
// the headers of a dead letter.
func (l *link) checkStored(m *nats.Msg, at fmt.Stringer) *fabricError {
	size, most := len(m.Data)+headerSize(m.Header), l.mostStored()
	if most == 0 || size <= most {
		return nil
	}
	limit := l.state.maxPayload.Load()
	return &fabricError{ErrTooLarge, fmt.Sprintf("%d bytes with its headers are more than the %d that a stored message may have: "+
		"the broker's max_payload of %d less %d for what a dead letter says", size, most, limit, int(limit)-most), at.String()}
}

// mostStored is how large a stored message may be; 0: it is not known.
func (l *link) mostStored() int { return mostStored(l.state.maxPayload.Load()) }

// backoff is how long to wait after the given number of failed attempts:
// 25 ms, 100 ms, 400 ms, then 1 s, each between half and one and a half times.
func backoff(attempts int) time.Duration {
	d := time.Second
	if attempts < 4 {
		d = 25 * time.Millisecond << (2 * max(0, attempts-1))
	}
	return jitter(d)
}

// reconnects counts how often the connection was made anew.
func (l *link) reconnects() uint64 { return l.nc.Stats().Reconnects }

// awaitConnection waits until the connection is up, at most until ctx ends.
func (l *link) awaitConnection(ctx context.Context) error {
	for !l.state.up.Load() {
		if l.nc.IsClosed() {
			return ErrNotConnected
		}
		select {
		case <-ctx.Done():
			return ErrNotConnected
		case <-l.closed:
			return ErrClosed
		case <-time.After(reconnectPoll):
		}
	}
	return nil
}

const reconnectPoll = 10 * time.Millisecond
