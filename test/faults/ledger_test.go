//go:build linux

package faults

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/damrey/damrey"
)

// slack is what an answer may come after its deadline. Who asks is told late only
// when this process does not run, so it is what a machine of two cores that
// restarts daemons meanwhile may hold it up; the summary says what came latest.
const slack = time.Second

// streakLength is how many good answers in a row are a recovery.
const streakLength = 50

// ledger enters every request and how it was answered.
type ledger struct {
	mu      sync.Mutex     // guards all below
	entries []byte         // of each request the first letter of its answer's kind; 0 while there is none
	kinds   map[string]int // answers by kind
	wrong   []string       // what must never be
	unread  []late
	lost    []time.Time   // when those began that got no RESPONSE
	mark    time.Time     // requests begun before are not looked at for recovery
	streak  int           // good answers in a row since mark
	first   time.Time     // of the streak
	latest  time.Duration // an answer came after its deadline; negative when all came before
}

// late is where a second answer would be found.
type late struct {
	id  int
	rch chan []string
}

func newLedger() *ledger { return &ledger{kinds: make(map[string]int), latest: math.MinInt64} }

// begin enters a request.
func (l *ledger) begin() (id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, 0)
	return len(l.entries) - 1
}

// end enters the answer of a request that was begun at a time with a budget.
func (l *ledger) end(id int, kind string, began time.Time, budget time.Duration) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.entries[id]; before != 0 {
		l.accuse("request %d was answered twice: %c, then %s", id, before, kind)
		return
	}
	l.entries[id] = kind[0]
	l.kinds[kind]++
	if kind != damrey.RESPONSE {
		l.lost = append(l.lost, began)
	}
	took := now.Sub(began)
	l.latest = max(l.latest, took-budget)
	if took > budget+slack {
		l.accuse("request %d got %s after %v of a budget of %v", id, kind, took, budget)
	}
	if began.Before(l.mark) {
		return
	}
	if kind != damrey.RESPONSE {
		l.streak = 0
		return
	}
	if l.streak == 0 {
		l.first = now
	}
	l.streak++
}

// accuse remembers something wrong. mu is held.
func (l *ledger) accuse(format string, args ...any) {
	if len(l.wrong) < 20 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}

func (l *ledger) wrongly(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accuse(format, args...)
}

// watch keeps the channel of an answered request, where nothing may come any
// more.
func (l *ledger) watch(id int, rch chan []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unread = append(l.unread, late{id, rch})
}

// from starts looking for a recovery.
func (l *ledger) from(mark time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mark, l.streak = mark, 0
}

// recovered says how long after the mark a row of good answers began.
func (l *ledger) recovered() (after time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first.Sub(l.mark), l.streak >= streakLength
}

// count of the answers of a kind.
func (l *ledger) count(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kinds[kind]
}

// kindOf names an answer as the ledger does. Empty: it is none that a request
// may get.
func kindOf(err error) string {
	reply, isError := errors.AsType[*damrey.ReplyError](err)
	switch {
	case err == nil:
		return damrey.RESPONSE
	case errors.Is(err, damrey.ErrNoInstance):
		return damrey.STOP
	case errors.Is(err, damrey.ErrTimeout):
		return damrey.TIMEOUT
	case errors.Is(err, damrey.ErrNoRoute):
		return damrey.ERROR + " no_route"
	case isError:
		return damrey.ERROR + " " + reply.Code
	}
	return ""
}

// kindOfMsg is kindOf for what came on a channel.
func kindOfMsg(m damrey.Msg) string {
	switch m.Tag() {
	case damrey.RESPONSE, damrey.STOP, damrey.TIMEOUT:
		return m.Tag()
	case damrey.ERROR:
		if len(m) == 5 {
			return damrey.ERROR + " " + m[3][len("damrey:"):]
		}
		return damrey.ERROR
	}
	return ""
}
