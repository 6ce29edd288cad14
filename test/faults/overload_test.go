//go:build linux

package faults

import (
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// An instance leaves everything unread on its channel: who asks it gets
// TIMEOUT, then busy when its queue is full; the next instance is asked when it
// is gone.
func TestFault_InstanceThatStopsReading(t *testing.T) {
	s := newSite(t)
	one := s.agent("one")
	s.line(one.url())
	l := s.load(s.entry(one.url()), loadConfig{askers: 32, budget: time.Second})
	u := s.usage()
	deaf := s.worker("echo", one.url(), "-unread", "-queue", "8")
	s.put(damrey.Registration{Name: "echo", MPU: 2})
	eventually(t, "some time out", func() bool { return l.ledger.count(damrey.TIMEOUT) > 10 })
	eventually(t, "some find it busy", func() bool { return l.ledger.count("ERROR busy") > 10 })
	deaf.terminate()
	s.put(damrey.Registration{Name: "echo"})
	l.recovers("an instance that does not read")
	l.stop()
	u.returns()
}

func TestFault_SlowHandlerFillsItsQueue(t *testing.T) { faultQueueFull(t, "300ms") }

func faultQueueFullOfShortMessages(t *testing.T) { faultQueueFull(t, "50ms") }

// A slow handler fills its queue: what has no room gets busy at once, what has
// is answered, and more mpu heals it live.
func faultQueueFull(t *testing.T, sleep string) {
	s := newSite(t)
	one := s.agent("one")
	s.put(damrey.Registration{Name: "echo", MPU: 100})
	s.worker("echo", one.url(), "-sleep", sleep, "-queue", "8")
	l := s.load(s.entry(one.url()), loadConfig{types: []string{"echo"}, askers: 64, budget: 5 * time.Second})
	u := s.usage()
	s.put(damrey.Registration{Name: "echo", MPU: 1})
	eventually(t, "it is busy", func() bool { return l.ledger.count("ERROR busy") > 100 })
	s.put(damrey.Registration{Name: "echo", MPU: 200})
	l.recovers("a full queue")
	l.stop()
	if n := l.ledger.count("ERROR busy") + l.ledger.count(damrey.RESPONSE); n != len(l.ledger.entries) {
		t.Errorf("%d of %d requests got an answer or busy", n, len(l.ledger.entries))
	}
	u.returns()
}

// An instance is frozen for five seconds beside another, and alone.
func faultFreezeInstance(t *testing.T) {
	s := newSite(t)
	one := s.agent("one")
	pass, echo := s.line(one.url())
	other := s.worker("echo", one.url())
	l := s.load(s.entry(one.url()), loadConfig{})
	u := s.usage()
	for _, frozen := range [][]*process{{echo}, {echo, other}, {pass}} {
		for _, p := range frozen {
			p.freeze()
		}
		last(5 * time.Second)
		for _, p := range frozen {
			p.thaw()
		}
		l.recovers("SIGSTOP of " + frozen[0].name)
	}
	l.stop()
	u.returns()
}
