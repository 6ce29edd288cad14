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
	s.line(far.url())
	here := s.worker("here", near.url())
	entry := s.entry(near.url())
	across := s.load(entry, loadConfig{name: "across"})
	within := s.load(entry, loadConfig{name: "within", types: []string{"here"}, askers: 4})
	u := s.usage()

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

// The proxy with the broker inside is frozen for five seconds.
func TestFault_FreezeProxyAndBroker(t *testing.T) {
	s := newSite(t)
	s.freezeBroker(s.hub)
}

// A broker of its own process is frozen for five seconds, and the proxy is not.
func TestFault_FreezeBroker(t *testing.T) {
	s := newSiteApart(t)
	s.freezeBroker(s.broker)
}

// freezeBroker freezes the process that the broker is in: who asks is answered
// by its deadline, and changes are stored again when the broker is back.
func (s *site) freezeBroker(of *process) {
	t := s.t
	t.Helper()
	near, far := s.agent("near"), s.agent("far")
	s.line(far.url())
	entry := s.entry(near.url())
	l := s.load(entry, loadConfig{})
	u := s.usage()
	of.freeze()
	last(5 * time.Second)
	of.thaw()
	l.recovers("SIGSTOP of " + of.name)
	s.changesAreSeen(entry, "after the broker went on")
	l.recovers("changes")
	l.stop()
	u.returns()
}

// The proxy alone is away, for a while in which routes are used, and the broker
// stays: nobody notices.
func faultProxyGone(t *testing.T, away time.Duration) {
	s := newSiteApart(t)
	near, far := s.agent("near"), s.agent("far")
	s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()
	s.hub.kill()
	last(away)
	s.hub.start()
	began := time.Now()
	eventually(t, "the agents hold their names again", func() bool {
		list, err := s.client.Agents(t.Context())
		return err == nil && len(list.Agents) == 2 && list.Agents[0].Held && list.Agents[1].Held
	})
	l.times = append(l.times, fmt.Sprintf("names held again %v", time.Since(began).Round(time.Millisecond)))
	l.stop()
	l.onlyResponses()
	u.returns()
}

// The broker, a process of its own, is killed and started again: the proxy
// stays, says 503 meanwhile, and stores changes again.
func TestFault_KillBroker(t *testing.T) {
	s := newSiteApart(t)
	near, far := s.agent("near"), s.agent("far")
	s.line(far.url())
	entry := s.entry(near.url())
	l := s.load(entry, loadConfig{})
	u := s.usage()
	s.broker.kill()
	eventually(t, "the proxy says that the broker is away", func() bool {
		_, err := s.client.Put(t.Context(), damrey.Registration{Name: "here"}, "")
		return err != nil && strings.Contains(err.Error(), "broker is away")
	})
	eventually(t, "nobody can be reached", func() bool { return l.ledger.count(damrey.STOP) > 50 })
	l.restarts("kill -9 of the broker alone", s.broker)
	s.changesAreSeen(entry, "after the broker came back")
	l.recovers("changes")
	l.stop()
	u.returns()
}

// The proxy alone is frozen for five seconds: nobody notices.
func TestFault_FreezeProxy(t *testing.T) {
	s := newSiteApart(t)
	near, far := s.agent("near"), s.agent("far")
	s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()
	s.hub.freeze()
	last(5 * time.Second)
	s.hub.thaw()
	eventually(t, "it serves again", func() bool {
		_, err := s.client.Workers(t.Context())
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
		s := newSiteApart(t)
		s.changeDuringRestartOf(s.broker)
	})
	t.Run("proxy", func(t *testing.T) {
		s := newSiteApart(t)
		s.changeDuringRestartOf(s.hub)
	})
}

func (s *site) changeDuringRestartOf(victim *process) {
	t := s.t
	t.Helper()
	near := s.agent("near")
	_, echo := s.line(near.url())
	s.put(damrey.Registration{Name: "echo2"})
	echo2 := s.worker("echo2", near.url())
	entry := s.entry(near.url())
	l := s.load(entry, loadConfig{})
	u := s.usage()
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
