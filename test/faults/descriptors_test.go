//go:build linux

package faults

import (
	"net"
	"testing"
)

// The proxy runs out of file descriptors: it lives on, says so, serves the
// connections that it has, and takes new ones when there is room again.
func TestFault_OutOfFileDescriptors(t *testing.T) {
	s := newSite(t)
	s.hub.terminate()
	s.hub.argv = append([]string{"/bin/sh", "-c", `ulimit -n 80 && exec "$0" "$@"`}, s.hub.argv...)
	s.hub.start()
	one := s.agent("one")
	pass, echo := s.line(s.hubURL())
	l := s.load(s.entry(one.url()), loadConfig{})
	u := s.usage([]*process{pass, echo}, []*process{s.hub, one.process})

	for _, addr := range []string{local(s.nats), s.rest, local(s.leaf)} {
		var held []net.Conn
		for range 120 {
			if c, err := net.Dial("tcp", addr); err == nil {
				held = append(held, c)
			}
		}
		l.recovers("no descriptors left at " + addr)
		for _, c := range held {
			c.Close()
		}
		s.changesAreSeen(l.w, "with room again")
	}
	if !s.hub.said("too many open files") {
		t.Error("the proxy did not say what it lacks")
	}
	l.stop()
	u.returns()
}
