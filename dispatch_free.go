package damrey

const (
	// askShare of mpu must be free to ask for more while something is expected.
	askShare = 4
	// lately is how many stored messages tell what the next will cost.
	lately = 128
)

// recentCosts are what the last stored messages cost, which is the only certain
// word on it: the table says it at their senders, for those that they store now.
type recentCosts struct {
	newer, older costRange
	count        int // in newer
}

type costRange struct{ least, most int } // 0: none

func (r costRange) with(least, most int) costRange {
	if r.least == 0 || least != 0 && least < r.least {
		r.least = least
	}
	return costRange{r.least, max(r.most, most)}
}

func (c *recentCosts) add(cost int) {
	if c.count == lately {
		c.older, c.newer, c.count = c.newer, costRange{}, 0
	}
	c.newer = c.newer.with(cost, cost)
	c.count++
}

// within is the range of costs for an instance of so many units. As long as
// nothing is known it is all of them.
func (c *recentCosts) within(capacity int) costRange {
	r := c.newer.with(c.older.least, c.older.most)
	if r.most == 0 {
		r = costRange{1, capacity}
	}
	return costRange{min(r.least, capacity), min(r.most, capacity)}
}

// expect reserves room for messages that were asked for.
func (d *dispatcher) expect(messages int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected += messages
}

// came gives back the room of messages that came, or do not come. cost is that
// of one that came; 0: it has none, or none did.
func (d *dispatcher) came(messages, cost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected = max(0, d.expected-messages)
	if cost > 0 {
		d.costs.add(cost)
	}
	d.tellVacant()
}

// push queues one message whatever the queue's length: who calls it pushes no
// more than most, and these are not counted when more is asked for.
func (d *dispatcher) push(in *inbound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	in.pushed = true
	d.queue.push(in)
	d.staff()
}

// most is how many messages push may have brought that have not ended.
func (d *dispatcher) most() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.capacity
}

// forget gives back everything that was expected.
func (d *dispatcher) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected = 0
}

// free is how many messages are worth asking for now: as many of the largest
// cost as what of mpu is neither taken, queued nor expected has room for. One
// that may be cheaper is asked for when it could run; it is the only one in hand
// then that may not. Nothing when less than a share of mpu is free and something
// is expected.
func (d *dispatcher) free() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.freeMessages()
}

func (d *dispatcher) freeMessages() int {
	cost := d.costs.within(d.capacity)
	units := d.capacity - d.claimed - d.expected*cost.most
	if units <= 0 || d.expected > 0 && units < d.capacity/askShare {
		return 0
	}
	if units < cost.most && d.expected == 0 && units >= cost.least {
		return 1
	}
	return units / cost.most
}

// freed gives a channel that is closed when free is not nothing. One goroutine
// asks.
func (d *dispatcher) freed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	vacant := make(chan struct{})
	d.vacant = vacant
	d.tellVacant()
	return vacant
}

// tellVacant wakes who waits for room. mu is held.
func (d *dispatcher) tellVacant() {
	if d.vacant != nil && d.freeMessages() > 0 {
		close(d.vacant)
		d.vacant = nil
	}
}
