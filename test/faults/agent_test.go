//go:build linux

package faults

import (
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// Each of two agents is killed and started again: the workers behind it come
// back by themselves.
func TestFault_KillAgent(t *testing.T) {
	s := newSite(t)
	near, far := s.agent("near"), s.agent("far")
	s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()

	far.kill()
	eventually(t, "nobody is there", func() bool { return l.ledger.count(damrey.STOP) > 20 })
	l.restarts("kill -9 of the workers' agent", far.process)
	near.kill()
	eventually(t, "no answer is possible", func() bool { return l.ledger.count(damrey.TIMEOUT) >= l.cfg.askers })
	l.restarts("kill -9 of the asker's agent", near.process)
	l.stop()
	u.returns()
}

// An agent is frozen for five seconds, the far one and the near one.
func faultFreezeAgent(t *testing.T) {
	s := newSite(t)
	near, far := s.agent("near"), s.agent("far")
	s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()
	for _, a := range []*agent{far, near} {
		a.freeze()
		last(5 * time.Second)
		a.thaw()
		l.recovers("SIGSTOP of agent " + a.name)
	}
	l.stop()
	u.returns()
}

// An agent stays frozen until the broker and its clients have given it up. NATS
// chooses among the leaf nodes by chance, so half of the requests time out until
// then, and none afterwards.
func TestFault_FreezeAgentUntilGivenUp(t *testing.T) {
	s := newSite(t)
	near, far, other := s.agent("near"), s.agent("far"), s.agent("other")
	s.line(far.url())
	s.line(other.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()
	far.freeze()
	eventually(t, "some time out", func() bool { return l.ledger.count(damrey.TIMEOUT) > 0 })
	l.recovers("an agent frozen for good, by other instances")
	far.thaw()
	l.recovers("its end")
	far.linked(true)
	l.stop()
	u.returns()
}

// A second agent of the same name is refused while the first serves, and the
// first is not disturbed.
func TestFault_SecondAgentOfTheSameName(t *testing.T) {
	s := newSite(t)
	near, far := s.agent("near"), s.agent("far")
	s.line(far.url())
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()
	second := s.newAgent("far", s.rest)
	second.killed = true // it ends by itself, with an error
	second.launch()
	second.killed = true
	await(t, "the second agent ends", second.ended)
	if second.cmd.ProcessState.Success() || !second.said("is held by process") {
		t.Errorf("the second agent: %v\n%s", second.cmd.ProcessState, second.tail())
	}
	l.recovers("a second agent")
	l.stop()
	l.onlyResponses()
	u.returns()
}
