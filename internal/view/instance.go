package view

import (
	"cmp"
	"fmt"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// Lost is the state that no beat says.
const Lost = "lost"

// spans is how many beats the rates of an instance are of.
const spans = int(window / report.Every)

// instance is a process that beats: of a worker, an agent or a proxy.
type instance struct {
	key   instanceKey
	beat  report.Beat // the last one, without its routes
	state string
	heard time.Duration
	went  time.Duration // when it left or was lost
	skew  time.Duration

	past past

	n      int // beats heard
	spans  [spans]span
	pairs  map[Key]*pair
	order  []*pair // the same
	folded bool    // it has more routes than are told apart
}

// span is what came with one beat.
type span struct {
	time time.Duration // since the beat before
	counts
	stay report.Histogram
}

// pair is an instance's part of a route.
type pair struct {
	key    Key
	route  *route // where it is counted; nil before there was traffic
	own    bool   // nothing else is counted there
	sum    counts // as the last beat said
	stay   []byte // packed, as the last beat said
	recent [spans]uint64
	inHand int    // as the last beat said: in handlers
	pass   uint64 // in which it was found last
}

func (i *instance) gone() bool { return i.state == Lost || i.state == string(report.Left) }

// span that the beat in hand belongs to.
func (i *instance) span() *span { return &i.spans[i.n%spans] }

// restart forgets what another process under this id had counted.
func (i *instance) restart() {
	for _, p := range i.pairs {
		p.sum, p.stay, p.inHand = counts{}, nil, 0
	}
}

// time that the spans are of.
func (i *instance) time() (t time.Duration) {
	for _, s := range i.spans {
		t += s.time
	}
	return t
}

// now is what came in the last spans, and the messages handled in a second.
func (i *instance) now() (c counts, rate float64) {
	t := i.time()
	if i.gone() || t <= 0 {
		return c, 0
	}
	for n := range i.spans {
		c.add(&i.spans[n].counts)
	}
	return c, float64(c[handled]) / t.Seconds()
}

// stay adds how long the messages of the last spans stayed.
func (i *instance) stay(to *sum) {
	if i.gone() || i.time() <= 0 {
		return
	}
	for n := range i.spans {
		to.add(i.spans[n].stay)
	}
}

// rate of one route of the instance, in messages handled in a second.
func (p *pair) rate(t time.Duration) float64 {
	var n uint64
	for _, m := range p.recent {
		n += m
	}
	return float64(n) / t.Seconds()
}

func (k instanceKey) compare(other instanceKey) int {
	return cmp.Or(cmp.Compare(k.worker, other.worker), cmp.Compare(k.id, other.id))
}

// lose takes one as lost.
func (v *View) lose(now Instant, i *instance) {
	i.state, i.went = Lost, now.Run
	text := fmt.Sprintf("%s was not heard of for %.0f s%s", i.who(), (now.Run - i.heard).Seconds(), i.where())
	v.tell(now, i, api.EventInstanceLost, text)
}

func (v *View) forget(key instanceKey, i *instance) {
	v.pairs -= len(i.pairs)
	delete(v.instances, key)
}

// tell makes an event of an instance, or the like of an agent. There is none of proxies.
func (v *View) tell(now Instant, i *instance, kind api.EventKind, text string) {
	e := api.Event{Kind: kind, Worker: i.key.worker, Instance: i.key.id, Text: text}
	switch i.key.worker {
	case report.ProxyWorker:
		return
	case report.AgentWorker:
		switch kind {
		case api.EventInstanceJoined:
			e.Kind = api.EventAgentJoined
		case api.EventInstanceLeft:
			e.Kind = api.EventAgentLeft
		case api.EventInstanceLost:
			e.Kind = api.EventAgentLost
		default:
			return
		}
	}
	v.journal.Add(now.Wall, e)
}

// who is how it is named in a sentence.
func (i *instance) who() string {
	if i.key.worker == report.AgentWorker {
		return "agent " + cmp.Or(i.beat.Name, i.key.id)
	}
	return fmt.Sprintf("instance %s of %s", i.key.id, i.key.worker)
}

func (i *instance) where() string {
	switch {
	case i.beat.Host == "":
		return ""
	case i.beat.Agent == "" || i.key.worker == report.AgentWorker:
		return fmt.Sprintf("; host %s, pid %d", i.beat.Host, i.beat.PID)
	}
	return fmt.Sprintf("; host %s, pid %d, at %s", i.beat.Host, i.beat.PID, i.beat.Agent)
}
