//go:build linux

package faults

import (
	"context"
	"strconv"
	"testing"

	"github.com/damrey/damrey"
)

// One of two instances leaves by SIGTERM and comes back, again and again, on
// the server of the one who asks: nothing is lost.
func TestFault_InstancesLeaveOnOneServer(t *testing.T) {
	s := newSite(t)
	one := s.agent("one")
	_, echo := s.line(one.url())
	other := s.worker("echo", one.url())
	l := s.load(s.entry(one.url()), loadConfig{pause: -1, askers: 16})
	u := s.usage()
	for range 6 {
		for _, p := range []*process{echo, other} {
			p.terminate()
			p.start()
		}
	}
	l.recovers("12 leaves")
	l.stop()
	l.onlyResponses()
	u.returns()
}

// A worker is moved from agent to agent by a change of its row while it is
// asked over leaf nodes. NATS may drop what it had already chosen a leaving
// instance for: such a request gets TIMEOUT. Nothing else is lost, and there is
// somebody all the time.
func faultMoveBetweenAgents(t *testing.T) {
	s := newSite(t)
	near, one, two := s.agent("near"), s.agent("one"), s.agent("two")
	s.put(damrey.Registration{Name: "echo", Agent: "one"})
	first := s.worker("echo", one.url())
	second := s.newWorker("echo", two.url())
	second.launch() // it stands by, so it is not ready
	s.worker("pass", one.url(), "-forward", "echo")
	l := s.load(s.entry(near.url()), loadConfig{})
	const moves = 30
	for i := range moves {
		to, p := "two", second
		if i%2 == 1 {
			to, p = "one", first
		}
		had := p.stats().Stats.Received
		s.put(damrey.Registration{Name: "echo", Agent: to})
		eventually(t, "the moved worker is asked at "+to, func() bool { return p.stats().Stats.Received > had+20 })
	}
	u := s.usage()
	l.recovers(strconv.Itoa(moves) + " moves")
	l.stop()
	lost, answered := l.ledger.count(damrey.TIMEOUT), l.ledger.count(damrey.RESPONSE)
	if lost > moves || lost+answered != len(l.ledger.entries) {
		t.Errorf("%d of %d requests were lost in %d moves: %s", lost, len(l.ledger.entries), moves, l.ledger.kindsText())
	}
	u.returns()
}

// A worker is taken out of the table and put back under load: STOP or an
// answer, and never silence.
func TestFault_DeleteAndAddAgain(t *testing.T) {
	s := newSite(t)
	one := s.agent("one")
	s.line(one.url())
	l := s.load(s.entry(one.url()), loadConfig{})
	u := s.usage()
	for range 5 {
		stops := l.ledger.count(damrey.STOP)
		must(t, s.client.Delete(context.Background(), "echo", nil))
		eventually(t, "nobody receives", func() bool { return l.ledger.count(damrey.STOP) > stops+20 })
		s.put(damrey.Registration{Name: "echo"})
		l.recovers("del and add")
	}
	l.stop()
	if n := l.ledger.count(damrey.STOP) + l.ledger.count(damrey.RESPONSE); n != len(l.ledger.entries) {
		t.Errorf("%d of %d requests got an answer or STOP", n, len(l.ledger.entries))
	}
	u.returns()
}
