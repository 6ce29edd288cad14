//go:build linux

package faults

import (
	"net"
	"syscall"
	"testing"

	"github.com/damrey/damrey"
)

// The proxy runs out of file descriptors: it lives on, says so, serves the
// connections that it has, and takes new ones when there is room again.
func TestFault_ProxyOutOfFileDescriptors(t *testing.T) {
	s := newSite(t)
	s.hub.terminate()
	s.hub.argv = append([]string{"/bin/sh", "-c", `ulimit -n 80 && exec "$0" "$@"`}, s.hub.argv...)
	s.hub.start()
	one := s.agent("one")
	s.line(s.hubURL())
	l := s.load(s.entry(one.url()), loadConfig{})
	u := s.usage()

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

// noMoreFiles lets a process open nothing more; what it has open stays.
func (p *process) noMoreFiles() (restore func()) {
	p.t.Helper()
	return p.limit(syscall.RLIMIT_NOFILE, 1)
}

// An agent runs out of file descriptors: it serves the connections that it has,
// says what it lacks when somebody new comes and when it loses its link, and
// goes on by itself when there is room again.
func TestFault_AgentOutOfFileDescriptors(t *testing.T) {
	r := newRelayed(t)
	entry := r.entry(r.near.url())
	l := r.load(entry, loadConfig{})
	u := r.usage()
	restore := r.near.noMoreFiles()
	var held []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", local(r.near.port))
		must(t, err)
		held = append(held, c)
	}
	eventually(t, "the agent says that it can take nobody", func() bool { return r.near.said("accept4: too many open files") })
	l.recovers("no descriptors left at the agent")
	r.link.Reset()
	eventually(t, "the agent says why it has no link", func() bool { return r.near.said("socket: too many open files") })
	eventually(t, "nobody can be reached", func() bool { return l.ledger.count(damrey.STOP) > 50 })
	restore()
	for _, c := range held {
		c.Close()
	}
	l.recovers("room again")
	r.near.linked(true)
	r.changesAreSeen(entry, "with room again")
	l.stop()
	u.returns()
}

// An instance runs out of file descriptors: it goes on over the connection that
// it has, says why it cannot connect again when it loses that, and comes back
// when there is room again.
func TestFault_InstanceOutOfFileDescriptors(t *testing.T) {
	s := newSite(t)
	link := newRelay(t, local(s.nats))
	s.worker("pass", s.hubURL(), "-forward", "echo")
	echo := s.worker("echo", "nats://"+link.Addr())
	l := s.load(s.entry(s.hubURL()), loadConfig{})
	u := s.usage()
	restore := echo.noMoreFiles()
	l.recovers("no descriptors left at the instance")
	link.Reset()
	eventually(t, "the instance says why it does not connect", func() bool { return echo.said("too many open files") })
	eventually(t, "nobody can be reached", func() bool { return l.ledger.count(damrey.STOP) > 50 })
	restore()
	l.recovers("room again")
	l.stop()
	u.returns()
}
