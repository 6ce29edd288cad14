//go:build linux

package faults

import (
	"context"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// An instance is killed while a handler runs: that message gets TIMEOUT, the
// other instance goes on, and the killed one takes part again when it is
// started.
func TestFault_KillInstanceInAHandler(t *testing.T) {
	s := newSite(t)
	one := s.agent("one")
	_, victim := s.line(one.url())
	entry := s.entry(one.url())
	l := s.load(entry, loadConfig{})
	hanging := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	go func() {
		_, err := entry.Request(ctx, "echo", "in hand", "hang")
		hanging <- err
	}()
	eventually(t, "the handler runs", func() bool { return victim.stats().Stats.InFlight > 0 })
	other := s.worker("echo", one.url())
	u := s.usage()

	victim.kill()
	l.recovers("kill -9 of one of two")
	if kind := kindOf(<-hanging); kind != damrey.TIMEOUT {
		t.Errorf("what was in hand got %s, want TIMEOUT", kind)
	}
	other.kill()
	eventually(t, "nobody is there", func() bool { return l.ledger.count(damrey.STOP) > 100 })
	l.restarts("kill -9 of the last", victim)
	other.start()
	l.stop()
	u.returns()
}
