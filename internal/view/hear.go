package view

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

var errCrowd = fmt.Errorf("there are %d instances already, as many as are told apart", MaxInstances)

// Hear takes a beat that was parsed, and keeps nothing of its routes. The error says why it was refused, which has been counted.
func (v *View) Hear(now Instant, b *report.Beat) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	now.Run = v.now // a little more, if another overtook this one
	err := check(b)
	if err == nil {
		err = v.checkRoutes(v.instances[instanceKey{b.Worker, b.Instance}], b)
	}
	if err == nil {
		err = v.hear(now, b)
	}
	if err != nil {
		v.refuse(now, b.Worker, b.Instance, err)
	}
	return err
}

func (v *View) hear(now Instant, b *report.Beat) error {
	key := instanceKey{b.Worker, b.Instance}
	i, known := v.instances[key]
	if !known {
		if len(v.instances) >= MaxInstances && !v.makeRoom() {
			return errCrowd
		}
		i = &instance{key: key, past: newPast(), pairs: make(map[Key]*pair)}
		v.instances[key] = i
	}
	before := *i
	if known && b.At.Before(before.beat.At) && b.Started.Equal(before.beat.Started) && v.behind(i, b) {
		return nil // overtaken by the one after it
	}
	if known && !b.Started.Equal(before.beat.Started) {
		i.restart()
	}
	i.n++
	*i.span() = span{time: v.spanOf(now, known, &before, b), stay: i.span().stay[:0]}
	// What it counted before the view began belongs to nobody's time.
	base := i.span().time == 0
	v.count(now, i, b, base)
	v.take(now, i, b)
	v.tellOf(now, known, &before, i)
	return nil
}

// take remembers what a beat says of the instance itself.
func (v *View) take(now Instant, i *instance, b *report.Beat) {
	i.beat, i.state, i.heard = *b, string(b.State), now.Run
	i.skew = min(max(b.At.Sub(now.Wall), -maxSkew), maxSkew)
	i.beat.In, i.beat.Out = nil, nil
	if i.gone() {
		i.went = now.Run
	}
}

// spanOf is the time in which the counts of a beat came; 0 of the first of one that ran before.
func (v *View) spanOf(now Instant, known bool, before *instance, b *report.Beat) time.Duration {
	if known && b.Started.Equal(before.beat.Started) {
		return max(now.Run-before.heard, time.Millisecond)
	}
	age := b.At.Sub(b.Started)
	if age < 0 || age > 2*report.Every {
		return 0
	}
	return max(age, time.Millisecond)
}

// tellOf makes the event of a change, if there is one.
func (v *View) tellOf(now Instant, known bool, before, i *instance) {
	switch {
	case !known && i.gone():
		v.tell(now, i, api.EventInstanceLeft, i.who()+" left"+i.where())
	case !known && i.span().time == 0 && now.Run-v.began < silence: // it was there before the view
	case !known:
		v.tell(now, i, api.EventInstanceJoined, fmt.Sprintf("%s joined, %s%s", i.who(), i.state, i.where()))
	case before.state == i.state:
	case i.gone():
		v.tell(now, i, api.EventInstanceLeft, i.who()+" left"+i.where())
	case before.gone():
		v.tell(now, i, api.EventInstanceJoined, fmt.Sprintf("%s is heard again, %s%s", i.who(), i.state, i.where()))
	default:
		v.tell(now, i, api.EventInstanceState, fmt.Sprintf("%s: %s → %s", i.who(), before.state, i.state))
	}
}

// makeRoom forgets the one that has been gone for longest; false when all are there.
func (v *View) makeRoom() bool {
	var first *instance
	for _, i := range v.instances {
		if i.gone() && (first == nil || i.went < first.went) {
			first = i
		}
	}
	if first != nil {
		v.forget(first.key, first)
	}
	return first != nil
}

// behind says that a beat counts less than the last one did.
func (v *View) behind(i *instance, b *report.Beat) bool {
	for n := range b.In {
		r := &b.In[n]
		if p := i.pairs[Key{r.From, r.Type, b.Worker}]; p != nil && r.Handled < p.sum[handled] {
			return true
		}
	}
	for n := range b.Out {
		r := &b.Out[n]
		if p := i.pairs[outKey(b, r)]; p != nil && r.Sent < p.sum[sent] {
			return true
		}
	}
	return false
}

// count adds what came with a beat to the routes. base: it is only what is counted from now on.
func (v *View) count(now Instant, i *instance, b *report.Beat, base bool) {
	v.spell.set(max(v.began, now.Run-i.span().time), now.Run)
	v.sentAt = b.At
	slot := i.n % spans
	for _, p := range i.order {
		p.recent[slot] = 0
	}
	defer func() {
		s := i.span()
		s.stay = v.sum.histogram(s.stay)
		v.sum.reset()
		v.all.add(now.Run, &v.spell, &s.counts, s.stay)
		i.past.add(now.Run, &v.spell, &s.counts, s.stay, loadOf(b))
	}()
	var folded fold
	for n := range b.In {
		r := &b.In[n]
		p := v.pairOf(now, i, v.found.pairs[n], Key{r.From, r.Type, b.Worker})
		if p == nil {
			folded.in(r)
			continue
		}
		v.countIn(now, i, p, r, base)
	}
	for n := range b.Out {
		r := &b.Out[n]
		p := v.pairOf(now, i, v.found.pairs[len(b.In)+n], outKey(b, r))
		if p == nil {
			folded.out(r)
			continue
		}
		v.countOut(now, i, p, outOf(r), base)
	}
	if folded.any {
		p := v.makePair(now, i, Key{report.Other, report.Other, b.Worker})
		v.countIn(now, i, p, &folded.ins, base)
		v.countOut(now, i, p, outOf(&folded.outs), base)
	}
}

// outKey is the route of what was sent. A bridge sends for programs without the library, and names them.
func outKey(b *report.Beat, r *report.Out) Key {
	return Key{cmp.Or(r.From, b.Worker), r.Type, r.To}
}

// maxInHand is more than an instance has in handlers along one route, whatever it says.
const maxInHand = 1 << 20

// fold is the sum of the routes of a beat that are not told apart.
type fold struct {
	any  bool
	ins  report.In
	outs report.Out
}

func (f *fold) in(r *report.In) {
	f.any = true
	s := &f.ins
	s.Handled, s.Errors, s.Timeouts = s.Handled+r.Handled, s.Errors+r.Errors, s.Timeouts+r.Timeouts
	s.Busy, s.Malformed = s.Busy+r.Busy, s.Malformed+r.Malformed
	s.InFlight += min(r.InFlight, maxInHand)
	s.Wait, s.Work, s.Stay = s.Wait+r.Wait, s.Work+r.Work, s.Stay.Plus(r.Stay)
}

func (f *fold) out(r *report.Out) {
	f.any = true
	s := &f.outs
	s.Sent, s.Timeouts = s.Sent+r.Sent, s.Timeouts+r.Timeouts
	s.Stopped, s.Undelivered = s.Stopped+r.Stopped, s.Undelivered+r.Undelivered
}

// pairOf is nil for what is not told apart. p was found before, or is nil.
func (v *View) pairOf(now Instant, i *instance, p *pair, key Key) *pair {
	if p != nil && !i.folded {
		return p
	}
	rest := restOf(i.key.worker)
	if i.folded && key == rest {
		return nil
	}
	if p := i.pairs[key]; p != nil {
		return p
	}
	if key != rest && (i.folded || v.pairs >= maxPairs || len(i.pairs) > 2*report.MaxRoutes) {
		i.folded = true // for good: what is counted together cannot be told apart later
		return nil
	}
	return v.makePair(now, i, key)
}

func (v *View) makePair(now Instant, i *instance, key Key) *pair {
	p := i.pairs[key]
	if p == nil {
		p = &pair{key: key}
		i.pairs[key] = p
		i.order = append(i.order, p)
		v.pairs++
	}
	return p
}

func (v *View) countIn(now Instant, i *instance, p *pair, r *report.In, base bool) {
	sum := inOf(r)
	p.inHand = int(min(r.InFlight, maxInHand))
	last := p.sum
	last[sent], last[timedOut], last[stopped], last[undelivered] = 0, 0, 0, 0
	more, fell := sum.since(&last)
	stay := r.Stay
	if !fell {
		v.came = came(v.came[:0], r.Stay, reader{p.stay})
		stay = v.came
	}
	for k := range more {
		switch k {
		case sent, timedOut, stopped, undelivered:
		default:
			p.sum[k] = sum[k]
		}
	}
	if fell || len(stay) > 0 || len(p.stay) == 0 {
		p.stay = appendHistogram(p.stay[:0], r.Stay)
	}
	if base {
		return
	}
	if more.traffic() {
		v.flow(now, i, p, &more, stay)
	}
	if r.LastError != "" && more[failed] > 0 {
		p.route.failures.note(now, v.sentAt, i, r)
	}
}

func (v *View) countOut(now Instant, i *instance, p *pair, sum counts, base bool) {
	last := counts{sent: p.sum[sent], timedOut: p.sum[timedOut], stopped: p.sum[stopped], undelivered: p.sum[undelivered]}
	more, _ := sum.since(&last)
	for _, k := range [...]int{sent, timedOut, stopped, undelivered} {
		p.sum[k] = sum[k]
	}
	if !base && more.traffic() {
		v.flow(now, i, p, &more, nil)
	}
}

// flow counts what came along a route.
func (v *View) flow(now Instant, i *instance, p *pair, more *counts, stay report.Histogram) {
	if p.route == nil || p.route.dropped || !p.own {
		p.route = v.route(now, p.key)
		p.own = p.route.key == p.key
	}
	p.route.add(now.Run, &v.spell, more, stay)
	p.recent[i.n%spans] += more[handled]
	i.span().add(more)
	v.sum.add(stay)
}

// check refuses what no instance says of itself, though it can be read.
func check(b *report.Beat) error {
	if !daemon(b.Worker) {
		if err := damrey.CheckWorkerName(b.Worker); err != nil {
			return fmt.Errorf("a forged beat: no worker may be called %w", err)
		}
	}
	if b.PID < 0 || b.InFlight < 0 || b.Queued < 0 || b.Capacity < 0 {
		return errors.New("a beat with a number below 0")
	}
	for _, s := range []string{b.Version, b.Host, b.Name, b.URL, b.Agent, b.Program} {
		if len(s) > maxText {
			return fmt.Errorf("a beat with a text of %d bytes; at most %d are taken", len(s), maxText)
		}
	}
	if len(b.Counts) > 200 {
		return fmt.Errorf("a beat with %d counters; at most 200 are taken", len(b.Counts))
	}
	for name := range b.Counts {
		if len(name) > maxText/4 {
			return fmt.Errorf("a beat with a counter's name of %d bytes; at most %d are taken", len(name), maxText/4)
		}
	}
	return nil
}
