//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/relay"
)

// sender sends until it is stopped, some messages every millisecond.
type sender struct {
	burst  int
	t      testing.TB
	s      *site
	w      *damrey.Instance
	name   string
	typ    string
	before damrey.Stats
	ending chan struct{}
	once   sync.Once
	group  sync.WaitGroup

	// Of run alone until it has ended.
	next    int
	refused int // Send returned an error: not sent
	sent    []sent
}

// sent is a message whose Send returned nil.
type sent struct {
	id int
	at time.Time
}

// sender begins to send messages of a type.
func (s *site) sender(w *damrey.Instance, name, typ string, burst int) *sender {
	x := &sender{burst: burst, t: s.t, s: s, w: w, name: name, typ: typ, before: w.Stats(), ending: make(chan struct{})}
	s.t.Cleanup(x.end)
	x.group.Go(x.run)
	return x
}

func (x *sender) run() {
	for {
		select {
		case <-x.ending:
			return
		default:
		}
		for range x.burst {
			x.send()
		}
		last(time.Millisecond)
	}
}

func (x *sender) send() {
	now := time.Now()
	err := x.w.Send(context.Background(), x.typ, fmt.Sprintf("%s.%d", x.name, x.next))
	if err == nil {
		x.sent = append(x.sent, sent{x.next, now})
	} else {
		x.refused++
	}
	x.next++
}

// end ends the sending.
func (x *sender) end() {
	x.once.Do(func() { close(x.ending) })
	x.group.Wait()
}

// fates is what became of the sends of a sender.
type fates struct {
	sent, refused, arrived, undelivered, unconfirmed int
	missing                                          int         // sent, and arrived nowhere
	lost                                             []time.Time // when the missing ones were sent
}

// stop ends the sending, flushes, and waits until what arrives has arrived.
func (x *sender) stop() fates {
	x.t.Helper()
	x.end()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := x.w.Flush(ctx); err != nil && !errors.Is(err, damrey.ErrUndelivered) && !errors.Is(err, damrey.ErrDropped) {
		x.t.Errorf("flush: %v", err)
	}
	after := x.w.Stats()
	f := fates{
		sent: len(x.sent), refused: x.refused,
		undelivered: int(after.Undelivered - x.before.Undelivered), unconfirmed: int(after.Unconfirmed - x.before.Unconfirmed),
	}
	x.settle(&f)
	summary.add(row{
		fault: fault(x.t), load: x.name, sent: fmt.Sprintf("%d sends, %d refused", f.sent, f.refused),
		answered: fmt.Sprintf("%d arrived, %d undelivered, %d unconfirmed, %d missing", f.arrived, f.undelivered, f.unconfirmed, f.missing),
	})
	x.t.Logf("%s: %d sent, %d refused: %d arrived, %d undelivered, %d unconfirmed, %d missing",
		x.name, f.sent, f.refused, f.arrived, f.undelivered, f.unconfirmed, f.missing)
	return f
}

// settle counts the arrivals until they no longer become more.
func (x *sender) settle(f *fates) {
	x.t.Helper()
	quiet := time.Now()
	eventually(x.t, "nothing arrives any more", func() bool {
		ran := x.s.journal.ran(x.t, x.name)
		if len(ran) != f.arrived {
			f.arrived, quiet = len(ran), time.Now()
		}
		return time.Since(quiet) > time.Second
	})
	ran := x.s.journal.ran(x.t, x.name)
	for _, one := range x.sent {
		switch n := ran[one.id].answered; {
		case n == 0:
			f.missing++
			f.lost = append(f.lost, one.at)
		case n > 1:
			x.t.Errorf("send %d arrived %d times", one.id, n)
		}
	}
}

// accounted fails the test when sends are missing that nothing was said of.
func (f fates) accounted(t testing.TB) {
	t.Helper()
	unsaid := f.missing - f.undelivered
	if unsaid < 0 {
		t.Errorf("%d sends were called undelivered and %d did not arrive", f.undelivered, f.missing)
	}
	if unsaid > f.unconfirmed {
		t.Errorf("%d sends vanished: %d did not arrive, %d were called undelivered and %d unconfirmed",
			unsaid-f.unconfirmed, f.missing, f.undelivered, f.unconfirmed)
	}
}

// Plain sends while the agent's uplink is down, long enough for them to be
// given up: each that did not arrive is counted.
func TestFault_SendsWhileTheUplinkIsDown(t *testing.T) {
	r := newRelayed(t)
	sink := r.worker("sink", r.far.url())
	entry := r.entry(r.near.url())
	u := r.usage()
	r.link.Set(relay.State{Cut: true})
	r.near.linked(false)
	x := r.sender(entry, "down", "sink", 1)
	eventually(t, "some are given up", func() bool { return entry.Stats().Undelivered > 500 })
	r.link.Heal()
	arrived := sink.stats().Stats.Handled
	eventually(t, "they arrive again", func() bool { return sink.stats().Stats.Handled > arrived+200 })
	f := x.stop()
	f.accounted(t)
	if f.undelivered == 0 || f.arrived == 0 {
		t.Errorf("%+v", f)
	}
	u.returns()
}

// Plain sends across the moment in which the link breaks. What the agent has
// written to the link and the broker has not read is gone with the link, and
// the sender must say that it does not know.
func faultSendsWhileTheUplinkBreaks(t *testing.T) {
	for _, c := range []struct {
		name  string
		state relay.State
	}{
		{"cut", relay.State{Cut: true}},
		{"frozen", relay.State{FreezeUp: true, FreezeDown: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelayed(t)
			sink := r.worker("sink", r.far.url())
			entry := r.entry(r.near.url())
			x := r.sender(entry, "break", "sink", 20)
			eventually(t, "they arrive", func() bool { return sink.stats().Stats.Handled > 5000 })
			u := r.usage()
			r.link.Set(c.state)
			r.near.linked(false)
			if c.state.Cut {
				last(time.Second)
			}
			r.link.Heal()
			r.near.linked(true)
			arrived := sink.stats().Stats.Handled
			eventually(t, "they arrive again", func() bool { return sink.stats().Stats.Handled > arrived+200 })
			x.stop().accounted(t)
			u.returns()
		})
	}
}

// Plain sends while the agent itself is killed and started again.
func TestFault_SendsWhileTheAgentIsKilled(t *testing.T) {
	s := newSite(t)
	near, far := s.agent("near"), s.agent("far")
	sink := s.worker("sink", far.url())
	entry := s.entry(near.url())
	x := s.sender(entry, "kill", "sink", 1)
	eventually(t, "they arrive", func() bool { return sink.stats().Stats.Handled > 200 })
	u := s.usage()
	near.kill()
	last(time.Second)
	near.start()
	arrived := sink.stats().Stats.Handled
	eventually(t, "they arrive again", func() bool { return sink.stats().Stats.Handled > arrived+200 })
	x.stop().accounted(t)
	u.returns()
}
