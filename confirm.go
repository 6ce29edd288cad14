package damrey

import (
	"strconv"
	"time"

	"github.com/rs/zerolog"
)

const (
	// confirmEvery is the longest that a send waits to be confirmed while the
	// connection is up.
	confirmEvery = 10 * time.Millisecond
	// markerWait is when a marker that did not come back is given up.
	markerWait = 2 * time.Second
	markerKind = "f"
)

// confirmLoop settles what is in the ring. It publishes a marker to the link's
// own inbox: NATS keeps the order of one connection, so when the marker comes
// back, every "no responders" to what was published before it has come back
// too.
func (l *link) confirmLoop() {
	for {
		select {
		case <-l.dirty:
		case <-l.urgent:
		case <-l.closed:
			return
		}
		for {
			if !l.pauseForMore() {
				return
			}
			now := l.reconnects()
			head, pending := l.ring.window()
			if pending == 0 {
				break
			}
			if !l.confirmUpTo(head, now) {
				return
			}
		}
	}
}

// pauseForMore lets sends gather so that one marker confirms many.
func (l *link) pauseForMore() bool {
	timer := time.NewTimer(confirmEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.urgent:
	case <-l.closed:
		return false
	}
	return true
}

// confirmUpTo marks and waits. What was published before the connection broke
// has an unknown fate: it is counted and said, and not pushed again. now is the
// count of reconnects from before head was read.
func (l *link) confirmUpTo(head, now uint64) bool {
	before := l.windowBegan.Load()
	err := l.nc.Publish(l.marker(), nil)
	ok := err == nil && l.markerReturned()
	if l.isClosed() {
		return false
	}
	switch {
	case ok && l.reconnects() == before:
		_, sends := l.ring.confirm(head, delivered)
		l.assurance.add(l, sends)
		l.windowBegan.Store(now)
	case l.reconnects() != before:
		n, _ := l.ring.confirm(head, unknown)
		l.windowBegan.Store(now)
		l.unsure(n, "the connection was lost before these messages were confirmed; whether they arrived is unknown and they are not pushed again")
	}
	return true
}

func (l *link) marker() string {
	return l.inbox + "." + markerKind + strconv.FormatUint(l.gen.Add(1), 36)
}

// markerReturned waits for the last marker that was published.
func (l *link) markerReturned() bool {
	want := l.gen.Load()
	timer := time.NewTimer(markerWait)
	defer timer.Stop()
	for {
		select {
		case got := <-l.marked:
			if got == want {
				return true
			}
		case <-timer.C:
			return false
		case <-l.closed:
			return false
		}
	}
}

// onMarker is called in the inbox's order with what follows the mark. Only the
// last marker counts; their numbers begin at random, so that nobody else knows it.
func (l *link) onMarker(id string) {
	got, err := strconv.ParseUint(id, 36, 64)
	if err != nil || got != l.gen.Load() {
		l.count.unasked.Add(1)
		return
	}
	select {
	case <-l.marked: // one that nobody waits for any more
	default:
	}
	select {
	case l.marked <- got:
	default:
	}
}

// unsure counts and tells messages of unknown fate, and remembers them for flush.
func (l *link) unsure(n int, what string) {
	if n == 0 {
		return
	}
	l.count.unconfirmed.Add(uint64(n))
	l.unknown.Add(int64(n))
	l.log.warn(what, func(e *zerolog.Event) { e.Int("messages", n) })
}
