//go:build linux

package faults

import (
	"context"
	"fmt"
	"strings"
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

// The broker behind a proxy of its own process is killed and started again: the
// proxy stays, says 503 meanwhile, and stores changes again.
func faultKillBrokerBehindTheProxy(t *testing.T) {
	s := newSite(t)
	front, rest := s.front(local(s.leaf))
	near, far := s.newAgent("near", rest), s.newAgent("far", rest)
	near.start()
	far.start()
	pass, echo := s.line(far.url())
	entry := s.entry(near.url())
	l := s.load(entry, loadConfig{})
	u := s.usage([]*process{pass, echo}, []*process{front, near.process, far.process})
	s.client = s.newClient(rest)
	s.hub.kill()
	eventually(t, "the proxy says that the broker is away", func() bool {
		_, err := s.client.Put(t.Context(), damrey.Registration{Name: "here"}, "")
		return err != nil && strings.Contains(err.Error(), "broker is away")
	})
	eventually(t, "nobody can be reached", func() bool { return l.ledger.count(damrey.STOP) > 50 })
	l.restarts("kill -9 of the broker alone", s.hub)
	s.changesAreSeen(entry, "after the broker came back")
	l.recovers("changes")
	l.stop()
	u.returns()
}

// The proxy alone is frozen for five seconds: nobody notices.
func faultFreezeProxyAlone(t *testing.T) {
	s := newSite(t)
	front, rest := s.front(local(s.leaf))
	near, far := s.newAgent("near", rest), s.newAgent("far", rest)
	near.start()
	far.start()
	pass, echo := s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage([]*process{pass, echo}, []*process{s.hub, front, near.process, far.process})
	front.freeze()
	last(5 * time.Second)
	front.thaw()
	client := s.newClient(rest)
	eventually(t, "it serves again", func() bool {
		_, err := client.Workers(t.Context())
		return err == nil
	})
	l.recovers("SIGSTOP of the proxy alone")
	l.stop()
	l.onlyResponses()
	u.returns()
}

func TestFault_ProxyGoneForAWhile(t *testing.T) { faultProxyGone(t, 12*time.Second) }

func faultProxyGoneForAMinute(t *testing.T) { faultProxyGone(t, time.Minute) }

// Routes are changed while the broker with its proxy, or a proxy alone, is
// restarted, again and again: what was acknowledged holds, and every instance
// gets to know it.
func faultRouteChangeDuringRestart(t *testing.T) {
	t.Run("broker", func(t *testing.T) {
		s := newSite(t)
		s.changeDuringRestartOf(s.hub)
	})
	t.Run("broker behind the proxy", func(t *testing.T) {
		s := newSite(t)
		_, rest := s.front(local(s.leaf))
		s.client = s.newClient(rest)
		s.changeDuringRestartOf(s.hub)
	})
	t.Run("proxy", func(t *testing.T) {
		s := newSite(t)
		front, rest := s.front(local(s.leaf))
		s.client = s.newClient(rest)
		s.changeDuringRestartOf(front)
	})
}

func (s *site) changeDuringRestartOf(victim *process) {
	t := s.t
	t.Helper()
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
		victim.kill()
		victim.start()
		changing.Wait()
		began := time.Now()
		eventually(t, "the change that was acknowledged takes effect", func() bool {
			had := target.stats().Stats.Received
			for i := range 5 {
				_, err := entry.Request(context.Background(), "echo", fmt.Sprintf("probe %d", i))
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
