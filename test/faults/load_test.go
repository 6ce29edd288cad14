//go:build linux

package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// loadConfig says how a load asks.
type loadConfig struct {
	// name, unique at its site, is in the ids.
	name string
	// types that are asked for, by turns. Default: echo, and pass, which is
	// forwarded to echo.
	types []string
	// askers ask at one time; half over Request, half over SendChannel. Default 8.
	askers int
	// budget of a request. Default 2 s.
	budget time.Duration
	// pause between two requests of an asker. Default 2 ms, so that the machine
	// has time for what the fault costs; negative: none.
	pause time.Duration
}

// load asks until it is stopped.
type load struct {
	t      testing.TB
	s      *site
	w      *damrey.Instance
	cfg    loadConfig
	ledger *ledger
	ending chan struct{}
	once   sync.Once
	group  sync.WaitGroup
	times  []string // of the recoveries
}

// load starts asking as an instance and returns when it is answered well.
func (s *site) load(w *damrey.Instance, cfg loadConfig) *load {
	s.t.Helper()
	if cfg.name == "" {
		cfg.name = "load"
	}
	if cfg.types == nil {
		cfg.types = []string{"echo", "pass"}
	}
	if cfg.askers == 0 {
		cfg.askers = 8
	}
	if cfg.budget == 0 {
		cfg.budget = 2 * time.Second
	}
	if cfg.pause == 0 {
		cfg.pause = 2 * time.Millisecond
	}
	l := &load{t: s.t, s: s, w: w, cfg: cfg, ledger: newLedger(), ending: make(chan struct{})}
	l.ledger.from(time.Now())
	s.t.Cleanup(l.end)
	for i := range cfg.askers {
		l.group.Go(func() { l.run(cfg.types[i/2%len(cfg.types)], i%2 == 0) })
	}
	eventually(s.t, "the load is answered", func() bool { _, ok := l.ledger.recovered(); return ok })
	return l
}

func (l *load) run(typ string, overChannel bool) {
	ask := l.request
	if overChannel {
		ask = l.post
	}
	for {
		select {
		case <-l.ending:
			return
		default:
		}
		ask(typ)
		if l.cfg.pause > 0 {
			last(l.cfg.pause)
		}
	}
}

// id is the first argument of a request, and of its answer.
func (l *load) id(n int) string { return l.cfg.name + "." + strconv.Itoa(n) }

// request asks over Request.
func (l *load) request(typ string) {
	n := l.ledger.begin()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.budget)
	defer cancel()
	m, err := l.w.Request(ctx, typ, l.id(n))
	l.answered(n, m, kindOf(err), err, began)
}

// post asks over the channel, where a second answer would be seen.
func (l *load) post(typ string) {
	n := l.ledger.begin()
	began := time.Now()
	rch := make(chan []string, 2)
	l.w.SendChannel() <- &damrey.Message{Msg: damrey.NewRequest(typ, l.id(n)), Rch: rch, Timeout: l.cfg.budget}
	timer := time.NewTimer(l.cfg.budget + 2*slack)
	defer timer.Stop()
	select {
	case m := <-rch:
		l.answered(n, m, kindOfMsg(m), nil, began)
		l.ledger.watch(n, rch)
	case <-timer.C:
		l.ledger.wrongly("request %d got no answer on its channel for %v", n, time.Since(began))
	}
}

func (l *load) answered(n int, m damrey.Msg, kind string, err error, began time.Time) {
	if kind == "" {
		l.ledger.wrongly("request %d ended with %v, %v, which is no answer", n, m, err)
		kind = "?"
	}
	if kind == damrey.RESPONSE && m.Arg(0) != l.id(n) {
		l.ledger.wrongly("request %d got the answer of another: %v", n, m)
	}
	l.ledger.end(n, kind, began, l.cfg.budget)
}

// recovers waits until requests that begin now are answered well, and remembers
// for the table how long it took.
func (l *load) recovers(from string) {
	l.t.Helper()
	l.ledger.from(time.Now())
	l.recoversSince(from)
}

// recoversSince is recovers from the mark that ledger.from set. The askers may
// wait for answers that never come, so it asks itself, too.
func (l *load) recoversSince(from string) {
	l.t.Helper()
	var took time.Duration
	polls := 0
	eventually(l.t, "recovery from "+from, func() (ok bool) {
		if polls++; polls%5 == 0 {
			typ := l.cfg.types[polls/5%len(l.cfg.types)]
			l.group.Go(func() { l.request(typ) })
		}
		took, ok = l.ledger.recovered()
		return ok
	})
	l.times = append(l.times, fmt.Sprintf("%s %v", from, took.Round(time.Millisecond)))
	l.t.Logf("%s: %s: recovered in %v", l.cfg.name, from, took.Round(time.Millisecond))
}

// restarts starts processes that were killed, and counts the recovery from then.
func (l *load) restarts(from string, killed ...*process) {
	l.t.Helper()
	l.ledger.from(time.Now())
	for _, p := range killed {
		p.start()
	}
	l.recoversSince(from)
}

// end lets the askers finish.
func (l *load) end() {
	l.once.Do(func() { close(l.ending) })
	l.group.Wait()
}

// stop ends the load, checks the ledger, and enters the load in the table.
func (l *load) stop() {
	l.t.Helper()
	l.end()
	l.check()
	summary.add(row{
		fault: fault(l.t), load: l.cfg.name, sent: fmt.Sprintf("%d requests", len(l.ledger.entries)),
		answered: l.ledger.kindsText(), latest: l.ledger.latestText(), recovery: strings.Join(l.times, ", "),
	})
}

// check looks at what must hold whatever the fault is.
func (l *load) check() {
	l.t.Helper()
	g := l.ledger
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.unread {
		if len(u.rch) > 0 {
			g.accuse("request %d was answered twice: also %v", u.id, <-u.rch)
		}
	}
	ran := l.s.journal.ran(l.t, l.cfg.name)
	for n, answer := range g.entries {
		switch r := ran[n]; {
		case r.answered > 1 || r.forwarded > 1:
			g.accuse("request %d ran %d times and was forwarded %d times", n, r.answered, r.forwarded)
		case answer == 0:
			g.accuse("request %d was never answered", n)
		case answer == 'R' && r.answered == 0:
			g.accuse("request %d has an answer, and nobody ran it", n)
		case answer == 'S' && r.answered > 0:
			g.accuse("request %d got STOP and ran", n)
		}
	}
	for _, w := range g.wrong {
		l.t.Error(l.cfg.name + ": " + w)
	}
	l.t.Logf("%s: %d requests: %s", l.cfg.name, len(g.entries), g.text())
}

// onlyResponses fails the test when anything else came.
func (l *load) onlyResponses() {
	l.t.Helper()
	if got, sent := l.ledger.count(damrey.RESPONSE), len(l.ledger.entries); got != sent {
		l.t.Errorf("%s: %d of %d requests got a RESPONSE", l.cfg.name, got, sent)
	}
}

// latestText says how the latest answer came against its deadline.
func (l *ledger) latestText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.latest.Round(time.Millisecond)
	if d > 0 {
		return fmt.Sprintf("%v after", d)
	}
	return fmt.Sprintf("%v before", -d)
}

func (l *ledger) kindsText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text()
}

// text is the kinds of answers and how many of each. mu is held.
func (l *ledger) text() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(l.kinds)) {
		parts = append(parts, fmt.Sprintf("%d %s", l.kinds[kind], kind))
	}
	return strings.Join(parts, ", ")
}
