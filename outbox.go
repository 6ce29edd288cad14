package damrey

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// smallParcel is the most that is published at once.
	smallParcel = 4 << 10
	// unheardLimit is how much may be published at once without a sign that the
	// broker reads. It fits into the connection's own buffer.
	unheardLimit = 16 << 10
)

// outbox publishes requests and answers of one link. Whoever has one leaves it
// here and goes on; one goroutine publishes what has gathered, after it has let
// those that are ready to run leave theirs. So they reach the connection in a
// row and go out in few writes, where each publishing for itself would wake the
// connection's flusher for a write of its own. Nothing waits for time to pass,
// and nobody who asks or answers is held up by a link that is frozen.
//
// One that is alone has nobody to gather with and is published by whoever has
// it, as long as that surely does not block.
type outbox struct {
	mu     sync.Mutex // guards what follows
	items  []parcel
	spare  []parcel
	active bool
	quiet  sync.Cond // active has become false; its lock is mu

	unheard atomic.Int64 // bytes published at once since anything came in
}

// parcel is a call to publish, or an answer.
type parcel struct {
	call     uint64 // 0 for an answer
	to       string
	payload  *[]byte // of an answer
	size     int
	deadline moment
	release  func(*[]byte)
}

// post publishes p soon; alone, without letting others go first.
func (l *link) post(p parcel, alone bool) {
	o := &l.outbox
	o.mu.Lock()
	if alone && !o.active && l.passes(p.size) {
		o.mu.Unlock()
		if l.publishNow(&p) {
			return
		}
		o.mu.Lock()
	}
	o.items = append(o.items, p)
	start := !o.active
	o.active = true
	o.mu.Unlock()
	if start {
		go l.publishPosted(alone)
	}
}

// passes: a message of this size can be published without being held up. A
// connection blocks its publishers when the broker does not read and all
// buffers are full, and so much is not under way.
func (l *link) passes(size int) bool {
	if size > smallParcel || !l.state.up.Load() || !l.ring.isLight() {
		return false
	}
	return l.outbox.unheard.Add(int64(size)) <= unheardLimit
}

// heard is called with everything that the link's connection brings.
func (o *outbox) heard() {
	if o.unheard.Load() != 0 {
		o.unheard.Store(0)
	}
}

// publishNow says false when the connection has just gone.
func (l *link) publishNow(p *parcel) bool {
	if p.call != 0 {
		l.pushCall(p.call)
		return true
	}
	err := l.nc.Publish(p.to, *p.payload)
	if notConnected(err) {
		return false
	}
	l.answered(p.to, err)
	p.release(p.payload)
	return true
}

func (l *link) publishPosted(alone bool) {
	o := &l.outbox
	for {
		if !alone {
			runtime.Gosched()
		}
		alone = false
		o.mu.Lock()
		items := o.items
		if len(items) == 0 {
			o.active = false
			o.quiet.Broadcast()
			o.mu.Unlock()
			return
		}
		o.items = o.spare
		o.mu.Unlock()
		for i := range items {
			l.publishParcel(&items[i])
			items[i] = parcel{}
		}
		o.mu.Lock()
		o.spare = items[:0]
		o.mu.Unlock()
	}
}

// settle returns when everything that was left here has been published.
func (o *outbox) settle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.active {
		o.quiet.Wait()
	}
}

func (l *link) publishParcel(p *parcel) {
	if p.call != 0 {
		l.pushCall(p.call)
		return
	}
	l.answer(p.to, *p.payload, p.deadline)
	p.release(p.payload)
}
