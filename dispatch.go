package damrey

import (
	"sync"
	"time"
)

const (
	// patience is how long a running handler may keep waiting messages from
	// being looked at before another goroutine takes over.
	patience = 250 * time.Microsecond
	// quick is how short a handler is whose messages are better run one after
	// another by one goroutine than each handed to its own.
	quick = 20 * time.Microsecond
	// calm is how many quick handlers in a row end the handing over.
	calm = 64
	// maxParked is how many idle goroutines are kept for the next messages.
	maxParked = 16
	// burst is how long intake waits for room in a queue that has just become
	// full, so that a burst of cheap messages is not called busy because their
	// runner did not get a core for a moment. It goes on waiting only while the
	// whole queue is worked off in less than that, and little waits behind it.
	// Else, until half of the queue is worked off, what finds it full is refused
	// at once.
	burst = 100 * time.Millisecond
	// behind is how many queues' worth of messages may wait to be looked at.
	behind = 16
)

// dispatcher runs what came in: up to capacity units at once, the rest in a
// bounded queue in the order of arrival.
//
// Quick handlers are run one after another by one goroutine, which costs a
// message less than any handing over. When that goroutine is held up in a
// handler for longer than patience, the dispatcher turns to handing every
// message to a goroutine of its own until the handlers are quick again.
type dispatcher struct {
	run     func(in *inbound, now moment) moment // the time before and after; 0 when nobody has looked after
	backlog func() int                           // messages that wait to be looked at
	limit   int                                  // of the queue; at least 1, for what is about to be started

	mu       sync.Mutex // guards all below
	capacity int        // units, live
	used     int        // units of the handlers that are running
	queue    fifo[*inbound]
	parked   []chan struct{} // idle runners, the last parked is woken first
	awake    int             // runners between two handlers
	running  int             // runners in a handler
	hand     *inbound        // what they have in hand, a list
	progress uint64          // handlers that have returned
	slow     bool            // every message gets a goroutine of its own
	quickRow int             // quick handlers in a row while slow
	watching bool            // the watchdog's timer is set
	jammed   bool            // the queue was full and did not move in time
	room     chan struct{}   // not nil while intake waits for room
	fullAt   time.Time       // since when the queue has been full or nearly; zero: it has not
	fullFrom uint64          // taken then
	taken    uint64          // messages that have left the queue
	vacant   chan struct{}   // not nil while someone waits for room in mpu
	claimed  int             // units of what is queued or running, but for what push brought
	expected int             // messages that were asked for
	costs    recentCosts     // of those
	idle     chan struct{}   // not nil while someone waits for all to be done
	closed   bool            // runners end instead of parking
}

func newDispatcher(capacity, queue int, run func(*inbound, moment) moment, backlog func() int) *dispatcher {
	return &dispatcher{run: run, backlog: backlog, capacity: capacity, limit: max(1, queue)}
}

// submit queues all in their order, and returns how many: fewer when there is
// no room for the rest. It is called by one goroutine at a time and waits at
// most a burst.
func (d *dispatcher) submit(all []inbound) (taken int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range all {
		if d.queue.len() >= d.limit {
			d.staff() // those who are to make room
			if !d.waitForRoom() {
				return i
			}
		}
		d.queue.push(&all[i])
		d.claimed += int(all[i].cost)
	}
	d.staff()
	return len(all)
}

// waitForRoom is called with mu held and returns with it held.
func (d *dispatcher) waitForRoom() bool {
	d.jammed = d.jammed || d.tooSlow()
	if d.jammed {
		return false
	}
	d.room = make(chan struct{})
	room := d.room
	d.mu.Unlock()
	timer := time.NewTimer(burst)
	select {
	case <-room:
	case <-timer.C:
	}
	timer.Stop()
	d.mu.Lock()
	d.room = nil
	d.jammed = d.queue.len() >= d.limit
	return !d.jammed
}

// tooSlow says that the queue has been full for a burst and is not worked off
// within another, or that too much waits behind it. While mpu has room only a
// core is lacking, and that is not the handlers' doing. mu is held.
func (d *dispatcher) tooSlow() bool {
	if d.startable() {
		return d.backlog() > behind*d.limit
	}
	now := time.Now()
	if d.fullAt.IsZero() {
		d.fullAt, d.fullFrom = now, d.taken
		return false
	}
	spent := now.Sub(d.fullAt)
	if spent < burst {
		return false
	}
	done := d.taken - d.fullFrom
	d.fullAt, d.fullFrom = now, d.taken // the next look is at what came since
	return time.Duration(d.limit)*spent > time.Duration(done)*burst || d.backlog() > behind*d.limit
}

// staff sees to it that somebody looks at the queue. mu is held.
func (d *dispatcher) staff() {
	if d.awake > 0 || !d.startable() {
		return
	}
	if d.slow || d.running == 0 {
		d.wake()
		return
	}
	if !d.watching {
		d.watching = true
		d.watch(d.progress)
	}
}

// startable: the first in the queue has room. A message that costs more than
// the whole capacity runs alone.
func (d *dispatcher) startable() bool {
	return d.queue.len() > 0 && (d.used == 0 || d.used+int(d.queue.front().cost) <= d.capacity)
}

func (d *dispatcher) wake() {
	d.awake++
	if n := len(d.parked); n > 0 {
		c := d.parked[n-1]
		d.parked = d.parked[:n-1]
		c <- struct{}{}
		return
	}
	go d.work()
}

// watch looks after a runner that is in a handler while messages wait. mu is
// held by the caller, not by the timer.
func (d *dispatcher) watch(seen uint64) {
	time.AfterFunc(patience, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.awake > 0 || !d.startable() {
			d.watching = false
			return
		}
		if d.progress == seen {
			d.slow, d.quickRow = true, 0
			d.wake()
			d.watching = false
			return
		}
		d.watch(d.progress)
	})
}

// work is one runner.
func (d *dispatcher) work() {
	wakeup := make(chan struct{}, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	var now moment // when the last handler ended; looking at the clock costs as much as a quick one
	for {
		if d.startable() {
			now = d.perform(now)
			continue
		}
		d.awake--
		if d.closed || len(d.parked) >= maxParked {
			return
		}
		d.parked = append(d.parked, wakeup)
		d.mu.Unlock()
		_, on := <-wakeup
		now = 0
		d.mu.Lock()
		if !on {
			return
		}
	}
}

// perform runs the first of the queue. mu is held before and after.
func (d *dispatcher) perform(now moment) moment {
	m := d.queue.pop()
	d.taken++
	if n := d.queue.len(); n < d.limit {
		if n <= d.limit/2 {
			d.jammed, d.fullAt = false, time.Time{}
		}
		if d.room != nil {
			close(d.room)
			d.room = nil
		}
	}
	cost := min(int(m.cost), d.capacity)
	d.used += cost
	d.awake--
	d.running++
	d.grasp(m)
	m.alone = d.running == 1 && d.queue.len() == 0
	slow := d.slow
	d.staff()
	if now == 0 {
		now = clock()
	}
	m.started.Store(int64(now))
	d.mu.Unlock()
	return d.runOne(m, cost, slow, now)
}

// runOne runs m and takes mu again, also when the handler ends its goroutine
// with runtime.Goexit, as testing.T's FailNow does: another runner takes over.
func (d *dispatcher) runOne(m *inbound, cost int, slow bool, now moment) moment {
	var began time.Time
	if slow {
		began = time.Now()
	}
	returned := false
	defer func() {
		wasQuick := slow && time.Since(began) < quick
		d.mu.Lock()
		d.done(m, cost)
		if slow {
			d.settle(wasQuick)
		}
		if !returned {
			go d.work() // in place of this one
		}
	}()
	now = d.run(m, now)
	returned = true
	return now
}

// done does the bookkeeping of a handler that has returned. mu is held.
func (d *dispatcher) done(m *inbound, cost int) {
	d.letGo(m)
	d.used -= cost
	d.unclaim(m)
	d.awake++
	d.running--
	d.progress++
	d.tellVacant()
	if d.idle != nil && d.running == 0 && d.queue.len() == 0 {
		close(d.idle)
		d.idle = nil
	}
}

// unclaim is called when m is neither queued nor running any more. mu is held.
func (d *dispatcher) unclaim(m *inbound) {
	if !m.pushed {
		d.claimed -= int(m.cost)
	}
}

// settle goes back to one runner after many quick handlers in a row.
func (d *dispatcher) settle(wasQuick bool) {
	if !wasQuick {
		d.quickRow = 0
		return
	}
	if d.quickRow++; d.quickRow >= calm {
		d.slow = false
	}
}

// resize changes the capacity; what is running is not disturbed.
func (d *dispatcher) resize(capacity int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = capacity
	d.tellVacant()
	d.staff()
}

// drained is closed when nothing runs and nothing waits.
func (d *dispatcher) drained() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.idle == nil {
		d.idle = make(chan struct{})
		if d.running == 0 && d.queue.len() == 0 {
			done := d.idle
			d.idle = nil
			close(done)
			return done
		}
	}
	return d.idle
}

// takeQueue empties the queue and returns what was in it.
func (d *dispatcher) takeQueue() []*inbound {
	d.mu.Lock()
	defer d.mu.Unlock()
	var left []*inbound
	for d.queue.len() > 0 {
		m := d.queue.pop()
		d.unclaim(m)
		left = append(left, m)
	}
	return left
}

// inHand returns what the handlers are running now.
func (d *dispatcher) inHand() []*inbound {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*inbound
	for m := d.hand; m != nil; m = m.next {
		all = append(all, m)
	}
	return all
}

func (d *dispatcher) grasp(m *inbound) {
	m.next = d.hand
	if m.next != nil {
		m.next.prev = m
	}
	d.hand = m
}

func (d *dispatcher) letGo(m *inbound) {
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		d.hand = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	}
	m.prev, m.next = nil, nil
}

// dismiss ends the idle runners. Nothing may be submitted afterwards.
func (d *dispatcher) dismiss() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.parked {
		close(c)
	}
	d.parked, d.closed = nil, true
}

func (d *dispatcher) load() (running, queued int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running, d.queue.len()
}
