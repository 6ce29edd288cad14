package damrey

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// call is one request under way. Whoever takes it out of the table answers it,
// and so it is answered once.
type call struct {
	id       uint64
	route    *Route
	payload  []byte // kept for pushing again
	began    moment
	deadline moment
	hops     int
	attempts int
	given    string      // the application's id, on a durable route
	header   nats.Header // nil: it is not traced
	ask      moment      // when to ask where it is; zero: never, or it was
	asked    bool
	path     []whereabouts
	stored   bool // on a durable route, and the broker has it
	// One of the two takes the answer.
	done    chan answer  // of one place; for a caller that waits
	deliver func(answer) // for a channel's message; must not block

	prev, next *call // in its bucket of the wheel, guarded by the shard
	bucket     int
}

func (c *call) finish(a answer) {
	if c.deliver != nil {
		c.deliver(a)
		return
	}
	c.done <- a
}

const (
	callShards = 16 // power of two
	// tick is how exact deadlines are kept. Calls wait in a wheel of wheelSize
	// ticks; those due later stay for another turn.
	tick      = 4 * time.Millisecond
	wheelSize = 256
	// soon is how many ticks ahead a deadline must be to spare a look at the clock.
	soon = wheelSize / 4
)

// calls is the table of requests under way, in shards by id, each with a wheel
// of deadlines: no timer and no goroutine for a request.
type calls struct {
	next   atomic.Uint64
	n      atomic.Int64
	shards [callShards]callShard
	expire func(*call)
	ask    func([]dueCall)
	origin moment

	ticking atomic.Bool
	stopped atomic.Bool
	turned  atomic.Int64 // ticks since origin that have been looked at
}

type callShard struct {
	mu      sync.Mutex // guards what follows and the links of its calls
	byID    map[uint64]*call
	buckets []*call
	closed  bool
}

func (t *calls) init(expire func(*call)) {
	t.expire = expire
	t.origin = clock()
}

func (t *calls) shard(id uint64) *callShard { return &t.shards[id&(callShards-1)] }

// put gives c an id and waits for its deadline. False when the table is closed.
func (t *calls) put(c *call) bool {
	c.id = t.next.Add(1)
	t.n.Add(1) // before start, so that the timer goes on
	if !t.ticking.Load() {
		t.start()
	}
	s := t.shard(c.id)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		t.n.Add(-1)
		return false
	}
	if s.byID == nil {
		s.byID = make(map[uint64]*call)
		s.buckets = make([]*call, wheelSize)
	}
	s.byID[c.id] = c
	s.link(c, int(t.tickOf(c.due())%wheelSize))
	s.mu.Unlock()
	return true
}

// take removes a call; nil when it is not there any more.
func (t *calls) take(id uint64) *call {
	s := t.shard(id)
	s.mu.Lock()
	c := s.byID[id]
	if c != nil {
		s.remove(c)
	}
	s.mu.Unlock()
	if c != nil {
		t.n.Add(-1)
	}
	return c
}

// update runs f on a call that is still in the table, under the shard's lock.
func (t *calls) update(id uint64, f func(*call)) bool {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byID[id]
	if c == nil {
		return false
	}
	f(c)
	return true
}

func (s *callShard) link(c *call, bucket int) {
	c.bucket, c.prev, c.next = bucket, nil, s.buckets[bucket]
	if c.next != nil {
		c.next.prev = c
	}
	s.buckets[bucket] = c
}

// due is when to look at a call next.
func (c *call) due() moment {
	if c.ask != 0 {
		return c.ask
	}
	return c.deadline
}

func (s *callShard) remove(c *call) {
	delete(s.byID, c.id)
	s.unlink(c)
}

func (s *callShard) unlink(c *call) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.buckets[c.bucket] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}

// tickOf rounds up, so that a call is not ended before its deadline, and never
// gives a tick that the timer may be past already.
func (t *calls) tickOf(at moment) int64 {
	k := int64(at.since(t.origin)/tick) + 1
	if k < t.turned.Load()+soon {
		k = max(k, int64(clock().since(t.origin)/tick)+1)
	}
	return k
}

// start sets the timer going; it stops by itself when no call is left.
func (t *calls) start() {
	if !t.ticking.CompareAndSwap(false, true) || t.stopped.Load() {
		return
	}
	t.turned.Store(int64(clock().since(t.origin)/tick) - 1)
	time.AfterFunc(tick, t.turn)
}

// turn looks at the buckets that have come due since the last time.
func (t *calls) turn() {
	now := clock()
	due := int64(now.since(t.origin) / tick)
	from := t.turned.Load() + 1
	from = max(from, due-wheelSize+1)
	for i := range t.shards {
		t.sweep(&t.shards[i], from, due, now)
	}
	t.turned.Store(due)
	if t.stopped.Load() {
		return
	}
	if t.n.Load() > 0 {
		time.AfterFunc(tick, t.turn)
		return
	}
	t.ticking.Store(false)
	if t.n.Load() > 0 {
		t.start()
	}
}

func (t *calls) sweep(s *callShard, from, due int64, now moment) {
	var over []*call
	var asked []dueCall
	s.mu.Lock()
	if len(s.byID) > 0 {
		for k := from; k <= due; k++ {
			for c := s.buckets[k%wheelSize]; c != nil; {
				next := c.next
				if c.deadline <= now {
					s.remove(c)
					over = append(over, c)
				} else if c.ask != 0 && c.ask <= now {
					asked = append(asked, dueCall{c.id, c.route.To, c.hops})
					c.ask = 0
					s.unlink(c)
					s.link(c, int(t.tickOf(c.deadline)%wheelSize))
				}
				c = next
			}
		}
	}
	s.mu.Unlock()
	t.n.Add(int64(-len(over)))
	if len(asked) > 0 {
		t.ask(asked)
	}
	for _, c := range over {
		t.expire(c)
	}
}

// close empties the table and answers what was in it with STOP.
func (t *calls) close() {
	t.stopped.Store(true)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.closed = true
		left := s.byID
		s.byID, s.buckets = nil, nil
		s.mu.Unlock()
		t.n.Add(int64(-len(left)))
		for _, c := range left {
			c.finish(answer{made: Msg{STOP}, where: c.route.String()})
		}
	}
}
