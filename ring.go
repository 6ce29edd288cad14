package damrey

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	ringStart = 64
	ringLimit = 4096
	// keepPayload is the largest buffer that a slot keeps for its next message.
	keepPayload = 4 << 10
	// unused is the id of a slot that has never been used.
	unused = ^uint64(0)
	// ringBytes is how much payload may wait to be confirmed.
	ringBytes = 32 << 20
)

// push is one NATS message that is on its way to a worker and that nobody has
// confirmed yet: a send, a batch of sends, or a forward.
type push struct {
	route    *Route
	subject  string
	payload  []byte
	count    int    // messages in the payload
	kind     byte   // kindRequest on a forward of a request
	rest     string // requester's reply subject, on a forward of a request
	hops     int
	cost     int
	deadline moment           // zero: not stamped yet
	budget   time.Duration    // what was left of it when the push was made; used by the first attempt
	attempts int              // made so far
	origin   uint64           // id of the first attempt
	header   nats.Header      // nil: it is not traced
	traced   []tracedSend     // of a batch that has not left
	gone     func(why string) // of a forward that is traced: told when nobody took it
	settled  func(fate)       // told once how it ended; nil: nobody asks
}

// stamp begins the budget of a push that has no deadline yet. Looking at the
// clock costs a good part of a send, and those that join a batch need not.
func (p *push) stamp() {
	if p.deadline == 0 {
		p.deadline = clock().add(p.budget)
	}
}

// fate is how a push ended.
type fate byte

const (
	delivered   fate = iota // an instance's subscription took it
	undelivered             // nobody took it after all attempts
	unknown                 // the connection was lost before it was confirmed
)

// slot is a place in the ring. It keeps its push after it is confirmed until
// the ring comes round, for a STOP that says that the message was not started.
type slot struct {
	push
	id   uint64
	gone bool // came back and is no longer this slot's
	size int  // of the payload that was published
}

// ring holds what was published and may still come back with "no responders".
// Ids count up and never repeat; confirm moves the tail.
type ring struct {
	mu      sync.Mutex          // guards all below, and orders publishing
	slots   []slot              // length is a power of two
	tail    uint64              // all ids before it are confirmed or gone
	head    uint64              // the next id
	bytes   int                 // payload between tail and head
	again   map[uint64]struct{} // origins of what came back and is not settled
	changed chan struct{}       // not nil while someone waits for tail or again
	lost    map[string]int      // undelivered since the last flush, by route
}

// add publishes p under the next id. It waits for room until ctx ends or p's
// deadline. With again set, p takes the place that it already has in the
// bookkeeping and does not wait.
func (l *link) add(ctx context.Context, p push, again bool) error {
	r := &l.ring
	r.mu.Lock()
	waited := false
	for !again && r.full() {
		waited = true
		if err := l.waitRing(ctx, p.deadline); err != nil {
			r.mu.Unlock()
			return err
		}
	}
	for r.crowded() {
		r.grow()
	}
	if r.head == r.tail {
		l.windowBegan.Store(l.reconnects())
	}
	id := r.head
	s := &r.slots[id&uint64(len(r.slots)-1)]
	payload := append(s.payload[:0], p.payload...)
	s.push, s.id, s.gone, s.size = p, id, false, len(payload)
	s.payload = payload
	s.attempts++
	if !again {
		s.origin = id
	}
	if waited || again {
		p.budget = p.deadline.left()
	}
	t := tail{kind: p.kind, call: id, budget: p.budget, hops: p.hops, cost: p.cost, rest: p.rest}
	l.reply = t.appendTo(l.reply[:0], l.inbox)
	err := l.publish(p.subject, string(l.reply), p.header, payload)
	if err == nil {
		r.head++
		r.bytes += len(payload)
	}
	first := r.head-r.tail == 1
	urgent := int(r.head-r.tail) >= ringLimit/2 || r.bytes >= ringBytes/2
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if first {
		l.kick(l.dirty)
	}
	if urgent {
		l.kick(l.urgent)
	}
	return nil
}

func (r *ring) isFull() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full()
}

// isLight says that little waits to be confirmed, and that nobody is held up
// in publishing more.
func (r *ring) isLight() bool {
	if !r.mu.TryLock() {
		return false
	}
	defer r.mu.Unlock()
	return r.bytes <= unheardLimit
}

func (r *ring) full() bool {
	return int(r.head-r.tail)+len(r.again) >= ringLimit || r.bytes >= ringBytes
}

// waitRing releases ring.mu until tail or again may have changed, and takes it
// again. It gives up when ctx ends and at the deadline, if there is one.
func (l *link) waitRing(ctx context.Context, deadline moment) error {
	r := &l.ring
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	changed := r.changed
	r.mu.Unlock()
	defer r.mu.Lock()
	return awaitChange(ctx, changed, l.closed, deadline)
}

// announce wakes those in waitRing. mu is held.
func (r *ring) announce() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// crowded says that the next slot is still needed: it is not confirmed, or it
// remembers a forward whose target may yet say that it was not started.
func (r *ring) crowded() bool {
	if int(r.head-r.tail) == len(r.slots) {
		return true
	}
	s := &r.slots[r.head&uint64(len(r.slots)-1)]
	return len(r.slots) < ringLimit && s.id != unused && !s.gone && s.kind == kindRequest && clock() < s.deadline
}

func (r *ring) grow() {
	bigger := make([]slot, max(ringStart, 2*len(r.slots)))
	mask := uint64(len(bigger) - 1)
	for i := range bigger {
		bigger[i].id = unused
	}
	for i := range r.slots {
		if id := r.slots[i].id; id != unused {
			bigger[id&mask] = r.slots[i]
		}
	}
	r.slots = bigger
}

// take returns the push of an id if the ring still has it, with a payload of
// its own, and marks it as come back.
func (r *ring) take(id uint64) (push, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.find(id)
	if s == nil {
		return push{}, false
	}
	s.gone = true
	p := s.push
	s.payload = nil
	if r.again == nil {
		r.again = make(map[uint64]struct{})
	}
	r.again[p.origin] = struct{}{}
	return p, true
}

func (r *ring) find(id uint64) *slot {
	if len(r.slots) == 0 || id >= r.head {
		return nil
	}
	s := &r.slots[id&uint64(len(r.slots)-1)]
	if s.id != id || s.gone {
		return nil
	}
	return s
}

// confirm settles every id before upTo that has not come back.
func (r *ring) confirm(upTo uint64, how fate) (settled, sends int) {
	var ask []func(fate)
	defer func() {
		for _, tell := range ask {
			tell(how)
		}
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.tail < upTo; r.tail++ {
		s := &r.slots[r.tail&uint64(len(r.slots)-1)]
		r.bytes -= s.size
		if s.gone {
			continue
		}
		settled += s.count
		if s.kind == kindSend {
			sends += s.count
		}
		if s.settled != nil {
			ask = append(ask, s.settled)
			s.settled = nil
		}
		if s.origin != s.id {
			delete(r.again, s.origin)
		}
		if cap(s.payload) > keepPayload {
			s.payload, s.gone = nil, true
		}
	}
	r.announce()
	return settled, sends
}

// settle ends the bookkeeping of a push that came back and goes nowhere more.
// Those of sends are remembered for flush.
func (r *ring) settle(p push, undelivered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.attempts > 0 {
		delete(r.again, p.origin)
	}
	if undelivered {
		if r.lost == nil {
			r.lost = make(map[string]int)
		}
		r.lost[p.route.String()] += p.count
	}
	r.announce()
}

// flush waits until everything that was added before it is settled here and
// with the broker, and returns and forgets what was lost since the last flush.
func (l *link) flush(ctx context.Context) error {
	r := &l.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	target := r.head
	for r.tail < target || r.pendingBefore(target) {
		l.kick(l.urgent)
		if err := l.waitRing(ctx, 0); err != nil {
			return err
		}
	}
	r.mu.Unlock()
	err := l.assurance.await(ctx, l)
	r.mu.Lock()
	if err != nil {
		return err
	}
	lost := r.lost
	r.lost = nil
	return undeliveredError(lost, l.unknown.Swap(0))
}

func (r *ring) pendingBefore(target uint64) bool {
	for origin := range r.again {
		if origin < target {
			return true
		}
	}
	return false
}

// window says what a marker that is published now would confirm.
func (r *ring) window() (head uint64, pending int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head, int(r.head - r.tail)
}

// notConnected says that a push surely did not leave: the connection is down
// and keeps no buffer.
func notConnected(err error) bool {
	return err == nats.ErrReconnectBufExceeded || err == nats.ErrDisconnected
}
