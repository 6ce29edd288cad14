package damrey

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Undelivered is the payload of <prefix>.event.undelivered.<to>.<type>.<from>:
// sends that nobody took after all attempts, at most one event a route and
// second.
type Undelivered struct {
	Route string    `json:"route"` // from→type→to
	Count int       `json:"count"` // since the last event of this route
	Why   string    `json:"why"`   // of the last one
	At    time.Time `json:"at"`
}

// undeliveredEvents gathers by route what is told.
type undeliveredEvents struct {
	mu      sync.Mutex // guards pending
	pending map[string]*Undelivered
	closed  bool
}

const eventEvery = time.Second

func (u *undeliveredEvents) add(l *link, r *Route, n int, why string) {
	subject := undeliveredSubject(l.prefix, *r)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending == nil {
		u.pending = make(map[string]*Undelivered)
	}
	e, running := u.pending[subject]
	if !running {
		e = &Undelivered{Route: r.String()}
		u.pending[subject] = e
	}
	e.Count += n
	e.Why, e.At = why, time.Now().UTC()
	if !running || u.closed {
		u.publish(l, subject, e)
	}
	if !running && !u.closed {
		u.rearm(l, subject)
	}
}

// rearm publishes in a second what gathered until then, and goes on as long as
// something did.
func (u *undeliveredEvents) rearm(l *link, subject string) {
	time.AfterFunc(eventEvery, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		e := u.pending[subject]
		if u.closed || e == nil || e.Count == 0 {
			delete(u.pending, subject)
			return
		}
		u.publish(l, subject, e)
		u.rearm(l, subject)
	})
}

// close tells what has gathered; what comes later is told at once.
func (u *undeliveredEvents) close(l *link) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for subject, e := range u.pending {
		if e.Count > 0 {
			u.publish(l, subject, e)
		}
	}
}

// publish tells and starts counting anew. mu is held.
func (u *undeliveredEvents) publish(l *link, subject string, e *Undelivered) {
	data, err := json.Marshal(e)
	if err == nil {
		err = l.nc.Publish(subject, data)
	}
	if err != nil {
		l.log.warn("an event could not leave", func(e *zerolog.Event) { e.Err(err) })
		return
	}
	e.Count = 0
}
