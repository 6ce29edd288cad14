package damrey

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/wire"
)

// outbox publishes requests, forwards and answers of one link. Whoever has one leaves it
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

// parcel is a call to publish, a forward, or an answer.
type parcel struct {
	call     uint64 // of a request; 0 for the others
	forward  *push  // its payload is the parcel's
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
	if p.forward == nil {
		l.answer(p.to, *p.payload, p.deadline)
		p.release(p.payload)
		return
	}
	pass := func(p parcel) {
		l.passOn(p.forward)
		p.release(p.payload)
	}
	if l.state.up.Load() && !l.ring.isFull() {
		pass(*p)
		return
	}
	go pass(*p) // it has to wait, and the others need not
}

// passOn pushes a forward. One that cannot leave is answered with an ERROR.
func (l *link) passOn(p *push) {
	err := l.send(context.Background(), *p)
	if err == nil {
		l.count.forwarded.Add(1)
		return
	}
	fe := &fabricError{ErrFailed, "could not forward: " + err.Error(), p.route.String()}
	l.answer(p.rest, wire.Append(nil, fe.message(p.route.Type)), p.deadline)
}
