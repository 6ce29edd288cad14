//go:build linux

package faults

import (
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/relay"
)

// relayed is a site with one agent behind a relay, and the workers behind the
// other:  entry ── near ══ relay ══ broker ══ far ── workers
type relayed struct {
	*site
	link      *relay.Relay
	near, far *agent
}

func newRelayed(t testing.TB) *relayed {
	t.Helper()
	s := newSite(t)
	r := &relayed{site: s, link: newRelay(t, local(s.leaf))}
	_, rest := s.front(r.link.Addr())
	r.near, r.far = s.newAgent("near", rest), s.agent("far")
	r.near.start()
	r.near.linked(true)
	r.line(r.far.url())
	return r
}

// The link of an agent is cut, refuses, and heals.
func TestFault_CutLeafLink(t *testing.T) {
	r := newRelayed(t)
	l := r.load(r.entry(r.near.url()), loadConfig{})
	u := r.usage()
	r.link.Set(relay.State{Cut: true})
	eventually(t, "nobody can be reached", func() bool { return l.ledger.count(damrey.STOP) > 100 })
	r.link.Heal()
	l.recovers("a cut")
	for range 3 {
		r.link.Reset()
		l.recovers("a reset")
	}
	l.stop()
	u.returns()
}

// The link of an agent is slow: requests take longer, and all are answered.
func faultDelayLeafLink(t *testing.T) {
	r := newRelayed(t)
	l := r.load(r.entry(r.near.url()), loadConfig{})
	u := r.usage()
	r.link.Set(relay.State{Delay: 200 * time.Millisecond})
	l.recovers("a delay of 200 ms")
	r.link.Heal()
	l.recovers("its end")
	l.stop()
	l.onlyResponses()
	u.returns()
}

// The link of an agent carries nothing, or one direction only, and nobody says
// so. It is given up; requests end by their deadlines; it heals.
func faultFreezeLeafLink(t *testing.T) {
	for _, c := range []struct {
		name  string
		state relay.State
	}{
		{"both ways", relay.State{FreezeUp: true, FreezeDown: true}},
		{"to the broker", relay.State{FreezeUp: true}},
		{"from the broker", relay.State{FreezeDown: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelayed(t)
			l := r.load(r.entry(r.near.url()), loadConfig{name: "load"})
			u := r.usage()
			r.link.Set(c.state)
			r.near.linked(false)
			r.link.Heal()
			l.recovers("a frozen link")
			l.stop()
			u.returns()
		})
	}
}

// The link of a client is cut, slow and frozen. The instance comes back by
// itself; what asks and what answers are both tried.
func faultClientLink(t *testing.T) {
	for _, side := range []string{"asker", "worker"} {
		t.Run(side, func(t *testing.T) {
			s := newSite(t)
			link := newRelay(t, local(s.nats))
			asker, worker := "nats://"+link.Addr(), s.hubURL()
			if side == "worker" {
				asker, worker = worker, asker
			}
			s.line(worker)
			l := s.load(s.entry(asker), loadConfig{})
			u := s.usage()
			link.Set(relay.State{Cut: true})
			last(2 * time.Second)
			link.Heal()
			l.recovers("a cut")
			link.Reset()
			l.recovers("a reset")
			link.Set(relay.State{Delay: 200 * time.Millisecond})
			l.recovers("a delay of 200 ms")
			link.Set(relay.State{FreezeUp: true, FreezeDown: true})
			last(8 * time.Second)
			link.Heal()
			l.recovers("8 s frozen")
			link.Set(relay.State{FreezeDown: true})
			last(8 * time.Second)
			link.Heal()
			l.recovers("8 s one way")
			l.stop()
			u.returns()
		})
	}
}
