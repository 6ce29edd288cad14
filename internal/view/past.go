package view

import (
	"time"

	"github.com/damrey/damrey/internal/report"
)

// past is what one instance did in the last 15 minutes. A beat tells of nothing before the beat before it, so one step is open
// and those before it are packed at once, with percentiles, and with what was in hand.
type past struct {
	goes  step  // the one that goes on
	load  load  // in hand at its end, as far as it is known
	first int64 // step that the beat in hand tells of
	told  load  // by that beat
	tape  tape
}

// load is what an instance has in hand.
type load struct{ inFlight, queued uint64 }

func loadOf(b *report.Beat) load { return load{uint64(b.InFlight), uint64(b.Queued)} }

// ofInstance are the counts that are kept of an instance, all of messages to it. Those that it sent are the matter of whom it
// sent them to.
var ofInstance = [...]int{handled, failed, expired, busy, malformed}

func newPast() past { return past{goes: step{n: -1}} }

// add counts what came in a spell that ends now, and notes what was in hand then. A step without a beat had in hand what the
// next beat says.
func (p *past) add(now time.Duration, over *spell, came *counts, stay report.Histogram, told load) {
	var own counts
	for _, k := range ofInstance {
		own[k] = came[k]
	}
	p.first, p.told = over.fine[0].step, told
	over.over(over.fine, p.step, &own, stay)
	p.step(over.fine[len(over.fine)-1].step)
	p.load = told
	p.tape.trim(int64((now - fineTime) / fineStep))
}

// step makes n the one that goes on; what belongs before the one that does, as after a start anew, is counted there.
func (p *past) step(n int64) *step {
	for p.goes.n < n {
		p.pack()
		p.goes.begin(max(p.goes.n+1, p.first), true)
		p.load = p.told
	}
	return &p.goes
}

// pack keeps the step, if there is anything to keep.
func (p *past) pack() {
	if p.empty() {
		return
	}
	var room [report.Buckets]report.Count
	r := p.record(room[:0])
	p.tape.append(&r)
}

func (p *past) empty() bool { return p.load == (load{}) && !p.goes.traffic() }

func (p *past) record(room report.Histogram) record {
	r := p.goes.record(room)
	r.load = p.load
	return r
}
