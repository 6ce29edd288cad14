package damrey

import (
	"runtime"
	"sync"
	"time"
)

// outbox publishes requests and answers of one link. Whoever has one leaves it
// here and goes on; one goroutine publishes what has gathered, after it has let
// those that are ready to run leave theirs. So they reach the connection in a
// row and go out in few writes, where each publishing for itself would wake the
// connection's flusher for a write of its own. Nothing waits for time to pass,
// and nobody who asks or answers is held up by a link that is frozen.
type outbox struct {
	mu     sync.Mutex // guards what follows
	items  []parcel
	spare  []parcel
	active bool
	quiet  sync.Cond // active has become false; its lock is mu
}

// parcel is a call to publish, or an answer.
type parcel struct {
	call     uint64 // 0 for an answer
	to       string
	payload  *[]byte
	deadline time.Time
	release  func(*[]byte)
}

// post publishes p soon; alone, without letting others go first.
func (l *link) post(p parcel, alone bool) {
	o := &l.outbox
	o.mu.Lock()
	o.items = append(o.items, p)
	start := !o.active
	o.active = true
	o.mu.Unlock()
	if start {
		go l.publishPosted(alone)
	}
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
