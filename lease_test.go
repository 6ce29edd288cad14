package damrey

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

func newLeased(t *testing.T) *Instance {
	t.Helper()
	w := New(Config{Name: "w"}, zerolog.Nop())
	w.link = &link{replies: []string{nats.InboxPrefix}, count: &w.stats, log: w.log}
	w.taps.w = w
	w.taps.copies, w.taps.done = make(chan *tapped, maxCopies), make(chan struct{})
	t.Cleanup(w.taps.close)
	return w
}

func (t *taps) lend(l report.Lease) {
	data, _ := json.Marshal(l) // plain texts and numbers
	t.hear(&nats.Msg{Data: data})
}

func TestLease_EndsByItself(t *testing.T) {
	t.Parallel()
	w := newLeased(t)
	w.taps.lend(report.Lease{ID: "a", Rate: 5, Inbox: "_INBOX.x"})
	in := &inbound{envelope: &envelope{typ: "x", from: "src"}}
	now := clock()
	if w.taps.take(in, now) == nil {
		t.Fatal("it does not hold")
	}
	if w.taps.take(in, now.add(report.LeaseTime+1)) != nil {
		t.Error("it holds for ever")
	}
	l := w.taps.list()[0]
	l.mu.Lock()
	l.until = clock()
	l.mu.Unlock()
	w.taps.group.Wait() // until who sends copies finds none left
	if w.taps.leases.Load() != nil {
		t.Error("it is still there")
	}
	w.taps.lend(report.Lease{ID: "a", Rate: 5, Inbox: "_INBOX.x"})
	if w.taps.take(in, clock()) == nil {
		t.Error("another one does not hold")
	}
}

func TestLease_AreFewAndKeepTheirRateWhenSentAgain(t *testing.T) {
	t.Parallel()
	w := newLeased(t)
	for i := range 3 * maxLeases {
		w.taps.lend(report.Lease{ID: fmt.Sprint(i), Rate: 2, Inbox: "_INBOX.x"})
	}
	if n := len(w.taps.list()); n != maxLeases {
		t.Errorf("%d leases", n)
	}
	in := &inbound{envelope: &envelope{typ: "x", from: "src"}}
	now := clock()
	for i := range 5 {
		w.taps.lend(report.Lease{ID: "0", Rate: 2, Inbox: "_INBOX.x"})
		c := w.taps.take(in, now)
		if given := c != nil; given != (i < 2) {
			t.Errorf("message %d: %v", i, given)
		}
	}
}

func TestCopyArgs_AreBounded(t *testing.T) {
	t.Parallel()
	args := make([]string, 10_000)
	for i := range args {
		args[i] = strings.Repeat("é", 3000)
	}
	size := 0
	for _, arg := range copyArgs(args) {
		size += len(arg)
	}
	if size > maxCopyArgs+10 {
		t.Errorf("%d bytes", size)
	}
}

// Somebody else's text may be anything.
func TestClip_TextThatBeginsNoCharacter(t *testing.T) {
	t.Parallel()
	if got := clip(strings.Repeat("\x80", 100)); got != "..." {
		t.Errorf("%q", got)
	}
}
