package damrey

import (
	"errors"
	"fmt"
)

// errNotAcknowledged is why an attempt that nobody has answered may have failed.
var errNotAcknowledged = errors.New("the broker does not answer, or its cluster has no majority")

// errInProcess is why one is not acknowledged that a server of the cluster has
// begun to store.
var errInProcess = errors.New("it is being stored, for which the cluster has no majority, or is electing")

// doubt is an [ErrNotStored] of a message that may be stored all the same.
type doubt struct {
	attempts int
	why      error
	id       bool // of the application's own
}

func (d *doubt) Error() string {
	again := "sent again it may be there twice"
	if d.id {
		again = "sent again under the same id it is there once"
	}
	times := ""
	if d.attempts > 1 {
		times = fmt.Sprintf(" of %d attempts", d.attempts)
	}
	return fmt.Sprintf("damrey: it is not known whether it is stored; no acknowledgement%s came: %v. It may be, and is handled then; %s",
		times, d.why, again)
}

func (d *doubt) Unwrap() []error { return []error{ErrNotStored, d.why} }

// inDoubt says that an attempt may have stored it. mu is held.
func (s *storing) inDoubt() bool { return s.doubtful || s.attempts > 0 && !s.answered }

// forgotten says that the broker may not know the message's id any more, so that
// another attempt might store it twice. mu is held.
func (s *storing) forgotten(now moment) bool { return s.inDoubt() && now.since(s.since) > storeKnown }

func (s *storing) doubt(why error) *doubt {
	return &doubt{attempts: s.attempts, why: why, id: s.marker != nil || s.msg.Header.Get(HeaderOriginalID) != ""}
}

// unfinished is the error of a storing whose time is up.
func (s *storing) unfinished() error {
	if s.inDoubt() {
		return fmt.Errorf("%w (%s)", s.doubt(s.why), s.at)
	}
	return fmt.Errorf("%w after %d attempts: %w (%s)", ErrNotStored, s.attempts, s.why, s.at)
}

// refuseStore ends a storing whose last attempt was refused; one before may have stored it.
func (l *link) refuseStore(id uint64, why error) {
	t := &l.stores
	t.mu.Lock()
	s := t.byID[id]
	var err error
	if s != nil && s.doubtful {
		err = s.doubt(why)
	} else {
		err = fmt.Errorf("%w: %w", ErrNotStored, why)
	}
	t.mu.Unlock()
	l.endStore(id, err)
}

// doubtful says that a message may be stored although an attempt was refused.
func (t *stores) doubtful(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil {
		s.doubtful = true
	}
}
