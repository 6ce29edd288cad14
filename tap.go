package damrey

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	maxLeases    = 16
	maxLease     = 4 << 10  // bytes
	maxLeaseRate = 1000     // copies in a second
	maxCopies    = 256      // that wait to leave
	maxCopyArg   = 1000     // characters
	maxCopyArgs  = 64 << 10 // bytes of all arguments of one message
	leaseLook    = time.Second
)

// taps give copies of messages to those who have a lease. As long as nobody has,
// a message costs a look at leases.
type taps struct {
	w      *Instance
	leases atomic.Pointer[[]*lease] // nil: none. Replaced, never changed
	sub    *nats.Subscription
	copies chan *tapped

	mu      sync.Mutex // guards what follows, and replacing leases
	sending bool       // a goroutine sends copies, as long as there are leases
	closed  bool
	done    chan struct{}
	group   sync.WaitGroup
}

// lease is one that holds.
type lease struct {
	report.Lease

	mu      sync.Mutex // guards what follows
	until   moment
	second  moment // when the present second of the rate began
	given   int    // in it
	skipped uint64 // since the last copy
}

// tapped is a message that leases want a copy of.
type tapped struct {
	to      []*lease
	skipped []uint64 // of each
	args    []string
	copy    report.Copy
}

// open hears of leases.
func (t *taps) open(w *Instance, nc *nats.Conn) (err error) {
	t.w = w
	t.copies, t.done = make(chan *tapped, maxCopies), make(chan struct{})
	t.sub, err = nc.Subscribe(report.TapSubject(w.opts.prefix), t.hear)
	return err
}

func (t *taps) close() {
	if t.w == nil {
		return
	}
	if t.sub != nil {
		_ = t.sub.Unsubscribe() // fails only on a closed connection
	}
	t.mu.Lock()
	t.closed = true
	t.leases.Store(nil)
	close(t.done)
	t.mu.Unlock()
	t.group.Wait()
}

// hear takes a lease, or one that is sent again.
func (t *taps) hear(m *nats.Msg) {
	l, err := readLease(m.Data)
	if err != nil {
		t.w.stats.malformed.Add(1)
		t.w.log.warn("a tap was refused", func(e *zerolog.Event) { e.Err(err) })
		return
	}
	if l.To != "" && l.To != t.w.cfg.Name {
		return
	}
	if !t.w.link.mayAnswer(l.Inbox) {
		t.w.link.refuse(l.Inbox)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	l.until = clock().add(report.LeaseTime)
	if !t.replace(l) {
		t.w.log.warn("a tap was refused: there are too many", func(e *zerolog.Event) { e.Int("most", maxLeases) })
		return
	}
	if !t.sending {
		t.sending = true
		t.group.Go(t.send)
	}
}

// readLease refuses what is no lease. Its inbox must be one plain subject, since
// whatever stands there goes out as it is.
func readLease(data []byte) (*lease, error) {
	if len(data) > maxLease {
		return nil, fmt.Errorf("a lease of %d bytes; at most %d are read", len(data), maxLease)
	}
	l := new(lease)
	if err := json.Unmarshal(data, &l.Lease); err != nil {
		return nil, fmt.Errorf("a lease that cannot be read: %w", err)
	}
	switch {
	case l.ID == "":
		return nil, fmt.Errorf("a lease without an id")
	case l.Sample < 0 || l.Sample > 1:
		return nil, fmt.Errorf("a lease with sample %v; use 0 to 1", l.Sample)
	case !isPlainSubject(l.Inbox):
		return nil, fmt.Errorf("a lease whose inbox %s is no subject", quoteClip(l.Inbox))
	}
	l.Rate = min(max(1, l.Rate), maxLeaseRate)
	return l, nil
}

func isPlainSubject(s string) bool {
	for token := range strings.SplitSeq(s, ".") {
		if token == "" || token == "*" || token == ">" {
			return false
		}
	}
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// replace puts l among the leases, in place of the one that had its id. False
// when there are too many. mu is held.
func (t *taps) replace(l *lease) bool {
	all := []*lease{l}
	for _, old := range t.list() {
		if old.ID == l.ID {
			l.takeOver(old)
		} else {
			all = append(all, old)
		}
	}
	if len(all) > maxLeases {
		return false
	}
	t.leases.Store(&all)
	return true
}

// takeOver goes on where the same lease was before it was sent again.
func (l *lease) takeOver(old *lease) {
	old.mu.Lock()
	defer old.mu.Unlock()
	l.second, l.given, l.skipped = old.second, old.given, old.skipped
}

func (t *taps) list() []*lease {
	if all := t.leases.Load(); all != nil {
		return *all
	}
	return nil
}

// prune forgets the leases that have run out, and says whether some are left.
func (t *taps) prune() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*lease
	for _, l := range t.list() {
		if l.holds(clock()) {
			all = append(all, l)
		}
	}
	if len(all) > 0 {
		t.leases.Store(&all)
		return true
	}
	t.leases.Store(nil)
	t.sending = false
	return false
}

func (l *lease) holds(now moment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now < l.until
}

// take is called before a message's handler runs, which may change the message.
// It is nil when nobody wants a copy.
func (t *taps) take(in *inbound, now moment) *tapped {
	all := t.leases.Load()
	if all == nil {
		return nil
	}
	var c *tapped
	for _, l := range *all {
		if !l.matches(in) {
			continue
		}
		skipped, ok := l.admit(now)
		if !ok {
			continue
		}
		if c == nil {
			c = new(tapped)
		}
		c.to, c.skipped = append(c.to, l), append(c.skipped, skipped)
		if l.Args && c.args == nil {
			c.args = copyArgs(in.msg.Args())
		}
	}
	return c
}

func (l *lease) matches(in *inbound) bool {
	return (l.From == "" || l.From == in.from) && (l.Type == "" || l.Type == in.typ) &&
		(l.Sample == 0 || l.Sample == 1 || rand.Float64() < l.Sample)
}

// admit keeps to the rate, and says how many were left out because of it.
func (l *lease) admit(now moment) (skipped uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now >= l.until {
		return 0, false
	}
	if now.since(l.second) >= time.Second {
		l.second, l.given = now, 0
	}
	if l.given >= l.Rate {
		l.skipped++
		return 0, false
	}
	l.given++
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}

// leaveOut counts copies that could not be given.
func (l *lease) leaveOut(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skipped += n
}

// copyArgs are arguments as they are shown, in memory of their own.
func copyArgs(args []string) []string {
	shown := make([]string, 0, len(args))
	size := 0
	for _, arg := range args {
		short := strings.Clone(strings.ToValidUTF8(firstChars(arg, maxCopyArg), "\uFFFD"))
		if size += len(short) + 4; size > maxCopyArgs {
			return append(shown, "…")
		}
		shown = append(shown, short)
	}
	return shown
}

// firstChars marks what it cuts.
func firstChars(s string, most int) string {
	end := 0
	for range most {
		if end == len(s) {
			return s
		}
		_, n := utf8.DecodeRuneInString(s[end:])
		end += n
	}
	if end == len(s) {
		return s
	}
	return s[:end] + "…"
}

// give says what became of a message that was taken. It never waits.
func (t *taps) give(c *tapped, in *inbound, how *ending, came, began, over moment) {
	if c == nil || how == nothingOf {
		return
	}
	c.copy = report.Copy{
		At: came.time().UTC(), From: in.from, Type: in.typ, To: in.to, Instance: t.w.id, Hop: int(in.hops),
		Outcome: how.outcome, Error: strings.ToValidUTF8(firstChars(how.why, maxCopyArg), "\uFFFD"),
		Wait: milliseconds(began.since(came)), Work: milliseconds(over.since(began)),
	}
	select {
	case t.copies <- c:
	default:
		for i, l := range c.to {
			l.leaveOut(1 + c.skipped[i])
		}
	}
}

// giveEnded is for a message whose handler never began.
func (t *taps) giveEnded(in *inbound, how *ending, now moment) {
	if t.leases.Load() != nil {
		t.give(t.take(in, now), in, how, in.came, now, now)
	}
}

func milliseconds(d time.Duration) float64 { return float64(max(0, d)) / float64(time.Millisecond) }

// send publishes copies until no lease is left.
func (t *taps) send() {
	ticker := time.NewTicker(leaseLook)
	defer ticker.Stop()
	for {
		select {
		case c := <-t.copies:
			t.publish(c)
		case <-ticker.C:
			if !t.prune() {
				return
			}
		case <-t.done:
			return
		}
	}
}

func (t *taps) publish(c *tapped) {
	for i, l := range c.to {
		one := c.copy
		one.Skipped = c.skipped[i]
		if l.Args {
			one.Args = c.args
		}
		data, err := json.Marshal(one)
		if err == nil {
			err = t.w.publishAside(l.Inbox, data)
		}
		if err != nil {
			l.leaveOut(1 + c.skipped[i])
		}
	}
}
