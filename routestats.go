package damrey

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/damrey/damrey/internal/report"
)

// inRoute counts what came in along one route that ends at this instance. A nil
// one counts nothing.
type inRoute struct {
	from, typ, key string // key is <type>.<from>, as in the subject

	handled, errors, timeouts, busy, malformed atomic.Uint64
	wait, work                                 atomic.Uint64 // nanoseconds
	stay                                       atomic.Pointer[report.Live]
	lastError                                  atomic.Pointer[lastError]
	all                                        *inRoutes
	inHand                                     uint64 // in handlers; of the one who makes beats
}

// inRoutes are the counters of all routes that end at an instance. Nil: none is
// counted.
type inRoutes struct {
	*bounded[string, inRoute]
	last      atomic.Pointer[inRoute] // that a message came along
	lastError atomic.Pointer[lastError]
}

// lastError is what a handler failed with.
type lastError struct {
	code, text string
	at         time.Time
}

func newInRoutes() *inRoutes {
	all := &inRoutes{}
	other := &inRoute{from: report.Other, typ: report.Other, all: all}
	all.bounded = newBounded[string](other)
	all.last.Store(other)
	return all
}

// known is the route of what stands in a subject behind the worker; nil when it
// is not told apart, or not yet.
func (s *inRoutes) known(key string) *inRoute {
	if s == nil {
		return nil
	}
	// Messages often come along the route of the one before.
	if r := s.last.Load(); r.key == key {
		return r
	}
	r := s.find(key)
	if r != nil {
		s.last.Store(r)
	}
	return r
}

// others is where is counted what is not told apart.
func (s *inRoutes) others() *inRoute {
	if s == nil {
		return nil
	}
	return s.other
}

// of is the route of two names, which the caller has checked.
func (s *inRoutes) of(typ, from string) *inRoute {
	if s == nil {
		return nil
	}
	key := typ + "." + from
	if r := s.known(key); r != nil {
		return r
	}
	if s.isFull() {
		return s.other
	}
	return s.add(key, &inRoute{typ: key[:len(typ)], from: key[len(typ)+1:], key: key, all: s})
}

// returned counts a message whose handler has returned.
func (r *inRoute) returned() {
	if r != nil {
		r.handled.Add(1)
	}
}

// took says when a message came, when its handler began, and when it was over.
func (r *inRoute) took(came, began, over moment) {
	if r == nil {
		return
	}
	r.wait.Add(uint64(max(0, began.since(came))))
	r.work.Add(uint64(max(0, over.since(began))))
	stay := r.stay.Load()
	if stay == nil {
		stay = r.makeStay()
	}
	stay.Add(over.since(came))
}

func (r *inRoute) makeStay() *report.Live {
	r.stay.CompareAndSwap(nil, new(report.Live))
	return r.stay.Load()
}

// failed counts an error, and keeps its code and text.
func (r *inRoute) failed(code, text string) {
	if r == nil {
		return
	}
	r.errors.Add(1)
	last := &lastError{shorten(code, maxCode), shorten(text, maxLastError), time.Now()}
	r.lastError.Store(last)
	r.all.lastError.Store(last)
}

func (r *inRoute) timedOut() {
	if r != nil {
		r.timeouts.Add(1)
	}
}

func (r *inRoute) refusedBusy() {
	if r != nil {
		r.busy.Add(1)
	}
}

func (r *inRoute) unreadable() {
	if r != nil {
		r.malformed.Add(1)
	}
}

func (r *inRoute) isUsed() bool {
	return r.inHand|r.handled.Load()|r.errors.Load()|r.timeouts.Load()|r.busy.Load()|r.malformed.Load() != 0
}

func (r *inRoute) snapshot() report.In {
	in := report.In{
		From: r.from, Type: r.typ,
		Handled: r.handled.Load(), Errors: r.errors.Load(), Timeouts: r.timeouts.Load(),
		Busy: r.busy.Load(), Malformed: r.malformed.Load(), InFlight: r.inHand,
		Wait: r.wait.Load(), Work: r.work.Load(),
	}
	if stay := r.stay.Load(); stay != nil {
		in.Stay = stay.Snapshot()
	}
	if last := r.lastError.Load(); last != nil {
		in.LastError, in.LastCode, in.LastAt = last.text, last.code, last.at.UTC()
	}
	return in
}

// snapshot leaves out what nothing came along. hand is what is in handlers now.
// Called by one goroutine at a time.
func (s *inRoutes) snapshot(hand []*inbound) (all []report.In) {
	if s == nil {
		return nil
	}
	for _, r := range s.all() {
		r.inHand = 0
	}
	for _, in := range hand {
		if in.route != nil {
			in.route.inHand++
		}
	}
	for _, r := range s.all() {
		if r.isUsed() {
			all = append(all, r.snapshot())
		}
	}
	return all
}

// sums are what `nats micro stats` shows of all routes together.
func (s *inRoutes) sums() (errors uint64, work time.Duration, lastError string) {
	if s == nil {
		return 0, 0, ""
	}
	for _, r := range s.all() {
		errors += r.errors.Load()
		work += time.Duration(r.work.Load())
	}
	if last := s.lastError.Load(); last != nil {
		lastError = last.text
	}
	return errors, work, lastError
}

// How much of an error's text and of its code is kept, in bytes. A handler may
// answer any code.
const (
	maxLastError = 200
	maxCode      = 40
)

// shorten cuts what is longer than most bytes, and replaces what is no UTF-8.
func shorten(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
