package damrey

import (
	"sync"
	"time"
)

// retries are the pushes that came back and wait to be pushed again.
type retries struct {
	mu      sync.Mutex // guards what follows
	waiting map[*retry]struct{}
	stopped bool
	busy    sync.WaitGroup // of timers that fire or may still
}

type retry struct {
	push  push
	timer *time.Timer
}

// later pushes p again after wait, or gives it up when the link closes before.
func (r *retries) later(l *link, wait time.Duration, p push) {
	if !r.wait(l, wait, p) {
		l.giveUp(p, stoppedText)
	}
}

// wait says false when the link is closing.
func (r *retries) wait(l *link, wait time.Duration, p push) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	if r.waiting == nil {
		r.waiting = make(map[*retry]struct{})
	}
	one := &retry{push: p}
	r.waiting[one] = struct{}{}
	r.busy.Add(1)
	one.timer = time.AfterFunc(wait, func() {
		defer r.busy.Done()
		if r.remove(one) {
			l.pushAgain(p)
		}
	})
	return true
}

const stoppedText = "this instance stopped"

// remove says false when stop has taken it.
func (r *retries) remove(one *retry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, there := r.waiting[one]
	delete(r.waiting, one)
	return there
}

// stop gives up everything that waits, and returns when nothing is under way.
func (r *retries) stop(l *link) {
	r.mu.Lock()
	left := r.waiting
	r.waiting, r.stopped = nil, true
	for one := range left {
		if one.timer.Stop() {
			r.busy.Done()
		}
	}
	r.mu.Unlock()
	for one := range left {
		l.giveUp(one.push, stoppedText)
	}
	r.busy.Wait()
}
