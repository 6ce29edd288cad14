package damrey

// askShare of mpu must be free to ask for more while something is expected.
const askShare = 4

// expect reserves units for messages that were asked for; less than nothing
// gives back those that came or do not come.
func (d *dispatcher) expect(units int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected = max(0, d.expected+units)
	d.tellVacant()
}

// push queues one message whatever the queue's length: who calls it pushes no
// more than most, and these are not counted when more is asked for.
func (d *dispatcher) push(in *inbound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	in.pushed = true
	d.pushed++
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

// free is what of mpu is worth asking for now: all that is neither taken,
// queued nor expected, or nothing when that is less than a share of mpu and
// something is expected.
func (d *dispatcher) free() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.freeUnits()
}

func (d *dispatcher) freeUnits() int {
	n := d.capacity - max(0, d.used+d.queue.len()-d.pushed) - d.expected
	if n <= 0 || d.expected > 0 && n < d.capacity/askShare {
		return 0
	}
	return n
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
	if d.vacant != nil && d.freeUnits() > 0 {
		close(d.vacant)
		d.vacant = nil
	}
}
