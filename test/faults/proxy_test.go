//go:build linux

package faults

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// The proxy with the broker inside is killed and started again. Workers of one
// agent reach each other all the time, those of two agents when it is back.
func TestFault_KillProxyAndBroker(t *testing.T) {
	s := newSite(t)
	near, far := s.agent("near"), s.agent("far")
	pass, echo := s.line(far.url())
	here := s.worker("here", near.url())
	entry := s.entry(near.url())
	across := s.load(entry, loadConfig{name: "across"})
	within := s.load(entry, loadConfig{name: "within", types: []string{"here"}, askers: 4})
	u := s.usage([]*process{pass, echo, here}, []*process{near.process, far.process})

	s.hub.kill()
	eventually(t, "the other machine is out of reach", func() bool { return across.ledger.count(damrey.STOP) > 100 })
	across.restarts("kill -9", s.hub)
	s.point("here")
	eventually(t, "a change after the restart takes effect", func() bool {
		m, err := entry.Request(t.Context(), "echo", "which")
		return err == nil && m.Arg(0) == "which" && here.stats().Stats.Received > 0
	})
	within.stop()
	within.onlyResponses()
	across.stop()
	u.returns()
}

// Everything is frozen for five seconds, one after the other.
func TestFault_FreezeBroker(t *testing.T) {
	s := newSite(t)
	near, far := s.agent("near"), s.agent("far")
	pass, echo := s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage([]*process{pass, echo}, []*process{s.hub, near.process, far.process})
	s.hub.freeze()
	last(5 * time.Second)
	s.hub.thaw()
	l.recovers("SIGSTOP of proxy and broker")
	l.stop()
	u.returns()
}

// The proxy alone is away, for a while in which routes are used, and the broker
// stays: nobody notices.
func faultProxyGone(t *testing.T, away time.Duration) {
	s := newSite(t)
	// Agents and changes go by the front, which goes away; the broker stays.
	front, rest := s.front(local(s.leaf))
	near, far := s.newAgent("near", rest), s.newAgent("far", rest)
	near.start()
	far.start()
	pass, echo := s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage([]*process{pass, echo}, []*process{s.hub, near.process, far.process})
	front.kill()
	last(away)
	front.start()
	client := s.newClient(rest)
	began := time.Now()
	eventually(t, "the agents hold their names again", func() bool {
		list, err := client.Agents(t.Context())
		return err == nil && len(list.Agents) == 2 && list.Agents[0].Held && list.Agents[1].Held
	})
	l.times = append(l.times, fmt.Sprintf("names held again %v", time.Since(began).Round(time.Millisecond)))
	l.stop()
	l.onlyResponses()
	u.returns()
}

func TestFault_ProxyGoneForAWhile(t *testing.T) { faultProxyGone(t, 12*time.Second) }

func faultProxyGoneForAMinute(t *testing.T) { faultProxyGone(t, time.Minute) }

// Routes are changed while the proxy and the broker are restarted, again and
// again: what was acknowledged holds, and every instance gets to know it.
func faultRouteChangeDuringRestart(t *testing.T) {
	s := newSite(t)
	near := s.agent("near")
	pass, echo := s.line(near.url())
	s.put(damrey.Registration{Name: "echo2"})
	echo2 := s.worker("echo2", near.url())
	entry := s.entry(near.url())
	l := s.load(entry, loadConfig{})
	u := s.usage([]*process{pass, echo, echo2}, []*process{near.process})
	for round := range 5 {
		to := []string{"echo2", "echo"}[round%2]
		target := map[string]*process{"echo": echo, "echo2": echo2}[to]
		var changing sync.WaitGroup
		changing.Go(func() { s.point(to) })
		s.hub.kill()
		s.hub.start()
		changing.Wait()
		began := time.Now()
		eventually(t, "the change that was acknowledged takes effect", func() bool {
			had := target.stats().Stats.Received
			for i := range 5 {
				_, err := entry.Request(t.Context(), "echo", fmt.Sprintf("probe %d", i))
				if err != nil {
					return false
				}
			}
			return target.stats().Stats.Received >= had+5
		})
		l.times = append(l.times, time.Since(began).Round(time.Millisecond).String())
	}
	l.stop()
	l.onlyResponses()
	u.returns()
}
