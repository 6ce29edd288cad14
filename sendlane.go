package damrey

import (
	"sync"
)

// laneLimit is how many sends of SendChannel may wait while the connection is
// down or the ring is full; then the channel waits too.
const laneLimit = ringLimit

// sendLane lets the sends of SendChannel wait, in order, without holding up
// the requests behind them.
type sendLane struct {
	mu      sync.Mutex // guards what follows
	waiting fifo[waitingSend]
	moving  bool // a goroutine works the lane off
	room    sync.Cond
}

type waitingSend struct {
	msg           Msg
	now, deadline moment
}

func (s *sendLane) init() { s.room.L = &s.mu }

// post sends at once when nothing is in the way.
func (s *sendLane) post(w *Instance, m waitingSend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.moving && w.sendsPass() {
		s.mu.Unlock()
		w.postSend(m.msg, m.now, m.deadline)
		s.mu.Lock()
		return
	}
	for s.waiting.len() >= laneLimit {
		s.room.Wait()
	}
	s.waiting.push(m)
	if !s.moving {
		s.moving = true
		go s.workOff(w)
	}
}

func (s *sendLane) workOff(w *Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting.len() > 0 {
		m := s.waiting.pop()
		s.room.Signal()
		s.mu.Unlock()
		w.postSend(m.msg, m.now, m.deadline)
		s.mu.Lock()
	}
	s.moving = false
}

// sendsPass: a send would not have to wait now.
func (w *Instance) sendsPass() bool {
	if w.stopped() {
		return true
	}
	return w.view.Load() != nil && w.link.sendsPass()
}
