//go:build linux

package faults

import (
	"testing"

	"github.com/damrey/damrey"
)

// A thousand route changes while requests run at full speed: none fails.
func TestFault_ThousandRouteChanges(t *testing.T) {
	s := newSite(t)
	one := s.agent("one")
	s.line(one.url())
	s.put(damrey.Registration{Name: "echo2"})
	echo2 := s.worker("echo2", one.url())
	entry := s.entry(one.url())
	l := s.load(entry, loadConfig{pause: -1, askers: 32})
	u := s.usage()
	for i := range 1000 {
		s.point([]string{"echo2", "echo"}[i%2])
	}
	l.recovers("1000 changes")
	l.stop()
	l.onlyResponses()
	if n := echo2.stats().Stats.Handled; n == 0 {
		t.Error("no change took effect")
	}
	u.returns()
}
