package damrey

import (
	"cmp"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	headerPin = "Nats-Pin-Id"
	// heldSafe is how long after the broker's last sign a message that was
	// handed out is surely this instance's: it comes to another after AckWait.
	heldSafe = bucket.AckWait - progressEvery
)

// partition is one that this instance owns, or asks for.
//
// It begins settled: false. What was handed out before, to an owner that died or
// over a connection that broke, comes again only after the ack wait, and later
// messages of its keys must not run before it. So nothing is started until the
// broker says that no message is out but those in hand here. A gap in the
// consumer's own count of hand-outs, a new pin, silence: each unsettles anew.
type partition struct {
	k      *keyedWork
	number int

	// All guarded by keyedWork.mu.
	closed    bool
	pin       string // the broker's word for this owner
	asks      []ask  // that have neither been filled nor ended, the oldest first
	left      int    // messages that may still come of them
	heardAt   moment
	next      uint64 // the consumer's count of the next message
	gaps      int    // how often the next was another
	settled   bool
	settling  bool              // the broker is being asked
	doubt     bool              // more was in hand than the broker had handed out
	absent    map[uint64]moment // stored and handed out, but not in hand, since when
	gone      int               // of held: the broker does not count them as handed out
	copies    bool              // the stream has some
	settledAt moment
	waits     moment // since when it is not settled, 0: it is, or has just been; or when that was last told
	sure      moment // what came before was surely this one's then
	sureAt    moment // when that was last asked
	confirms  bool   // it is being asked
	ended     int    // messages that have ended here
	held      map[uint64]*inbound
	reading   int        // of them are not placed yet
	early     []*inbound // came while it was not settled
	refused   []*inbound // were to start when it was not sure that they are still this instance's
	lanes     map[string]*lane
}

// ask is one pull.
type ask struct {
	at   moment
	left int
}

// lane are the messages of one key.
type lane struct {
	waiting []*inbound // by sequence
	busy    bool       // one is running, or waits to be tried again
}

func newPartition(k *keyedWork, number int) *partition {
	return &partition{
		k: k, number: number, heardAt: clock(),
		held: make(map[uint64]*inbound), lanes: make(map[string]*lane),
	}
}

// look returns what is to be done without mu, which is held.
func (p *partition) look() (due []func()) {
	now := clock()
	if p.left > 0 && now.since(p.heardAt) > 3*pullBeat {
		p.lose()
	}
	if p.lapsed(now) {
		// They may be another's by now. If they are not, they come again.
		forgotten := p.forget()
		due = append(due, func() {
			for _, in := range forgotten {
				p.k.w.jobs.end(in.job)
			}
		})
	} else {
		p.resume()
	}
	if room := bucket.KeyWindow - p.left; room >= bucket.KeyWindow/2 {
		if p.left == 0 {
			p.heardAt = now
		}
		p.asks = append(p.asks, ask{now, room})
		p.left += room
		pin := p.pin
		due = append(due, func() { p.k.ask(p.number, room, pin) })
	}
	// A message that left as its pin was taken away says none. Once all that the
	// broker may hand out is in hand, no other message comes to bring the next pin.
	owns := p.pin != "" || len(p.held) > 0
	if !p.settled && !p.settling && owns && now.since(p.settledAt) >= settleEvery {
		p.settling, p.settledAt = true, now
		due = append(due, func() { go p.settle() })
	}
	if len(p.held) > 0 && !p.confirms && now.since(p.sureAt) >= progressEvery {
		p.confirms, p.sureAt = true, now
		if held, oldest := p.inHand(), p.oldest(); len(held) > 0 {
			due = append(due, func() { go p.confirm(held, now, oldest) })
		} else {
			p.confirms = false
		}
	}
	return due
}

// came notes a message, and says false when it is in hand already. mu is held.
func (p *partition) came(in *inbound) bool {
	j := in.job
	j.part, j.cameAt = p, clock()
	p.heardAt = j.cameAt
	j.askedAt = p.heardAt.add(-pullTime)
	if len(p.asks) > 0 {
		j.askedAt = p.asks[0].at
		p.left--
		if p.asks[0].left--; p.asks[0].left == 0 {
			p.asks = p.asks[1:]
		}
	}
	if pin := pinOf(j.msg.Header); pin != p.pin {
		p.pin, p.settled, p.absent = pin, false, nil
	}
	if j.handout != p.next {
		p.settled = false
		p.gaps++
	}
	if j.handouts > 1 {
		p.settled = false // until what is known of it has been read
	}
	p.next = j.handout + 1
	if !p.settled || p.left < bucket.KeyWindow/2 {
		p.k.w.link.kick(p.k.wake)
	}
	if known := p.held[j.sequence]; known != nil && !p.replaces(known) {
		return false
	}
	p.held[j.sequence] = in
	p.reading++
	return true
}

// replaces says that a message that came is to be taken in place of the one in
// hand. Of that it was thought that the broker does not count it as handed out,
// which it does; the two counts would never agree. mu is held.
func (p *partition) replaces(known *inbound) bool {
	switch j := known.job; {
	case !j.gone:
	case !j.rescued:
		j.gone = false
		p.gone--
	case j.placed && !j.running: // there is nobody to acknowledge it to, unlike this one
		p.withdraw(known)
		return true
	}
	return false
}

// withdraw takes out a message that does not run. mu is held.
func (p *partition) withdraw(in *inbound) {
	isIt := func(e *inbound) bool { return e == in }
	p.early = slices.DeleteFunc(p.early, isIt)
	if l := p.lanes[in.job.key]; l != nil {
		l.waiting = slices.DeleteFunc(l.waiting, isIt)
	}
	p.ends(in.job)
	p.k.w.jobs.end(in.job)
}

// pinOf is the broker's word, which it puts behind what was stored.
func pinOf(h nats.Header) string {
	values := h[headerPin]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// pullOver ends the oldest pull. mu is held.
func (p *partition) pullOver() {
	if len(p.asks) > 0 {
		p.left -= p.asks[0].left
		p.asks = p.asks[1:]
	}
}

// lose forgets what was asked: something may be lost on its way. mu is held.
func (p *partition) lose() { p.asks, p.left, p.settled, p.absent = nil, 0, false, nil }

// place queues a message behind those of its key. mu is held.
func (p *partition) place(in *inbound) {
	in.job.placed = true
	if !p.settled {
		p.early = append(p.early, in)
		return
	}
	l := p.lanes[in.job.key]
	if l == nil {
		l = new(lane)
		p.lanes[in.job.key] = l
	}
	l.insert(in)
	p.advance(l)
}

func (l *lane) insert(in *inbound) {
	at, _ := slices.BinarySearchFunc(l.waiting, in, bySequence)
	l.waiting = slices.Insert(l.waiting, at, in)
}

func bySequence(a, b *inbound) int { return cmp.Compare(a.job.sequence, b.job.sequence) }

// advance lets the first of a key run. mu is held.
func (p *partition) advance(l *lane) {
	if l.busy || len(l.waiting) == 0 {
		return
	}
	in := l.waiting[0]
	l.waiting = l.waiting[1:]
	l.busy = true
	in.job.first = true
	p.run(in)
}

// run lets a message run when its time has come. mu is held.
func (p *partition) run(in *inbound) {
	if at := in.job.notBefore; at > clock() {
		time.AfterFunc(at.left(), func() {
			p.k.mu.Lock()
			defer p.k.mu.Unlock()
			if p.held[in.job.sequence] == in {
				p.k.admit(in)
			}
		})
		return
	}
	p.k.admit(in)
}

// starts is asked right before a message's handler runs. Not when it was handed
// back meanwhile, nor when it may be another's by now: after the process was
// frozen, or cut off.
func (p *partition) starts(in *inbound) bool {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	j := in.job
	if p.held[j.sequence] != in || !j.gone && clock().since(p.covered(j)) > heldSafe {
		p.k.leaves(j)
		p.refused = append(p.refused, in)
		p.k.w.link.kick(p.k.wake) // to see whether it has lapsed
		return false
	}
	j.running = true
	return true
}

// resume runs what was refused and turned out to be this instance's still: the
// broker's word came between the refusal and the look. mu is held.
func (p *partition) resume() {
	refused := p.refused
	p.refused = nil
	for _, in := range refused {
		if p.held[in.job.sequence] == in {
			p.k.admit(in)
		}
	}
}

// covered is the last moment at which a message was surely handed out to here.
func (p *partition) covered(j *job) moment {
	if p.sure >= j.cameAt {
		return p.sure
	}
	return j.askedAt
}

// oldest is the least that covers what does not run. mu is held.
func (p *partition) oldest() moment {
	oldest := clock()
	for _, in := range p.held {
		if !in.job.running && !in.job.gone {
			oldest = min(oldest, p.covered(in.job))
		}
	}
	return oldest
}

func (p *partition) lapsed(now moment) bool { return now.since(p.oldest()) > heldSafe }

// forget leaves what runs and takes the rest out. mu is held.
func (p *partition) forget() []*inbound {
	p.settled, p.early, p.refused = false, nil, nil
	for key, l := range p.lanes {
		if l.waiting = nil; !l.busy {
			delete(p.lanes, key)
		}
	}
	var rest []*inbound
	for _, in := range p.held {
		if in.job.running {
			continue
		}
		p.drop(in.job)
		if !in.job.placed {
			continue // who reads it sees that
		}
		if l := p.lanes[in.job.key]; in.job.first && l != nil {
			delete(p.lanes, in.job.key)
		}
		rest = append(rest, in)
	}
	slices.SortFunc(rest, bySequence)
	return rest
}

// close ends the partition here and returns what is to be handed back. mu is
// held.
func (p *partition) close() []*inbound {
	p.closed = true
	return p.forget()
}

// over is called when a message has ended, whatever its end.
func (p *partition) over(j *job) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	p.ends(j)
}

// unsettle is over for a message that comes again.
func (p *partition) unsettle(j *job) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	p.settled = false
	p.ends(j)
	p.k.w.link.kick(p.k.wake)
}

// ends takes a message out. mu is held.
func (p *partition) ends(j *job) {
	if in := p.held[j.sequence]; in != nil && in.job == j {
		p.drop(j)
		if l := p.lanes[j.key]; j.first && l != nil {
			l.busy = false
			if p.advance(l); !l.busy {
				delete(p.lanes, j.key)
			}
		}
	}
	p.k.leaves(j)
}

// drop counts a message out. mu is held.
func (p *partition) drop(j *job) {
	delete(p.held, j.sequence)
	if j.gone {
		p.gone--
		return
	}
	p.ended++
}

// again lets a message that failed run once more after a while, during which
// its key waits. False when the partition is another's by now.
func (p *partition) again(in *inbound, wait time.Duration) bool {
	next := &newSingle().in[0]
	*next.envelope, next.job = *in.envelope, in.job
	msg, err := decodeJob(in.job.msg.Data, in.typ)
	if err != nil {
		return false // it could be read before
	}
	next.msg, next.cost = msg, costOf(in.job.msg.Header)
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if p.closed || !in.job.first || p.held[in.job.sequence] == nil {
		return false // outside of its lane it would overtake others of its key
	}
	p.held[in.job.sequence] = next
	in.job.running, in.job.notBefore = false, clock().add(wait)
	in.job.begun = nil // it has not killed this instance
	p.k.leaves(in.job)
	p.run(next)
	return true
}

// inHand are the messages in hand that the broker has handed out. mu is held.
func (p *partition) inHand() []*nats.Msg {
	all := make([]*nats.Msg, 0, len(p.held))
	for _, in := range p.held {
		if !in.job.gone {
			all = append(all, in.job.msg)
		}
	}
	return all
}

// inProgress is JetStream's word for it. nats.go's own would refuse it for what
// has been acknowledged just now.
var inProgress = []byte("+WPI")

// confirm tells the broker that messages are in progress, and waits for the
// answer to the last: it looks at them in their order.
func (p *partition) confirm(held []*nats.Msg, began, oldest moment) {
	last := len(held) - 1
	var err error
	for _, m := range held[:last] {
		if err == nil {
			err = p.k.nc.Publish(m.Reply, inProgress)
		}
	}
	if err == nil {
		_, err = p.k.nc.Request(held[last].Reply, inProgress, askTime)
	}
	if err != nil {
		p.k.w.log.warn("could not tell the broker that messages are in progress", func(e *zerolog.Event) { e.Err(err) })
	}
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	p.confirms = false
	if err == nil && clock().since(oldest) < bucket.AckWait {
		p.sure = began
	}
}

// owned says that a partition keeps the message alive at the broker.
func (j *job) owned() bool {
	if j.part == nil {
		return false
	}
	j.part.k.mu.Lock()
	defer j.part.k.mu.Unlock()
	return !j.part.closed
}
