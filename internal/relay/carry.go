package relay

import (
	"net"
	"time"
)

// chunk is what was read at one time, and when it may go on.
type chunk struct {
	data []byte
	due  time.Time
}

// carry moves one direction until it breaks.
func (r *Relay) carry(from, to net.Conn, frozen func(State) bool) {
	chunks := make(chan chunk, 1024)
	gone := make(chan struct{})
	r.group.Go(func() {
		defer close(gone)
		defer r.forget(from, to)
		for c := range chunks {
			if !r.hold(c.due, frozen) {
				return
			}
			if _, err := to.Write(c.data); err != nil {
				return
			}
		}
	})
	defer close(chunks)
	var last time.Time
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			last = r.due(last, n)
			select {
			case chunks <- chunk{buf[:n], last}:
			case <-gone:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *Relay) due(last time.Time, n int) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.due(time.Now(), last, n)
}

// hold waits for the time of a chunk, and while the direction is frozen. False when the link was cut meanwhile.
func (r *Relay) hold(due time.Time, frozen func(State) bool) bool {
	for {
		r.mu.Lock()
		over, wait, slow, changed := r.closed || r.state.Cut, frozen(r.state), r.state.slow(), r.changed
		r.mu.Unlock()
		left := time.Until(due)
		switch {
		case over:
			return false
		case wait:
			<-changed
		case !slow || left <= 0:
			return true
		default:
			timer := time.NewTimer(left)
			select {
			case <-timer.C:
			case <-changed:
			}
			timer.Stop()
		}
	}
}
