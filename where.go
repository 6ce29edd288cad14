package damrey

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Shortly before a request's deadline its requester asks where it is, so that a
// TIMEOUT can say so. It asks the instances of the first worker; whoever has
// the message in hand answers, and whoever has passed it on answers too and
// asks those of the next one. A request that is answered in time never costs
// anything, and nobody remembers anything for it.

// The states of a [Hop].
const (
	HopQueued    = "queued"    // it waits for room in mpu
	HopHandling  = "handling"  // its handler runs
	HopForwarded = "forwarded" // it went on
	HopStored    = "stored"    // the broker has it, and no instance does
	HopUnknown   = "unknown"   // nobody says that it has it: an instance that is gone or frozen, or one without the library
)

// Hop is what is known of one hop of a request that timed out.
type Hop struct {
	Route    string        // from→type→to
	Instance string        // of the worker that it went to; empty when none said so
	State    string        // such as [HopQueued]
	For      time.Duration // how long it had been in that state
	Spent    time.Duration // of the budget: there, and on the way there
	Stored   bool          // the broker keeps the message until it is handled: the route is durable
}

const (
	whereKind = "w"
	// askedEach is how many requests a second are asked after by one instance.
	askedEach = 10
	// askBefore is the longest before a deadline that is asked, and askLeast the
	// least that must have passed.
	askBefore = 250 * time.Millisecond
	askLeast  = 20 * time.Millisecond
	// keptStored is how many requests that were stored for a next hop are
	// remembered, since no ring does.
	keptStored = 256
	maxWhere   = 4 << 10
)

// WhereSubject is where the instances of a worker are asked whether they have a
// message. [BridgeWorker] stands for all bridges.
func WhereSubject(prefix, worker string) string { return prefix + ".where." + worker }

// WhereQuestion asks there for the request whose reply subject is given, after
// so many hops. Each answer is one for [ReadHops].
func WhereQuestion(reply string, hop int) ([]byte, error) {
	key, ok := messageKey(reply)
	if !ok {
		return nil, fmt.Errorf("damrey: %s is not the reply subject of a request", quoteClip(reply))
	}
	return json.Marshal(whereQuestion{key, hop})
}

type whereQuestion struct {
	Message string `json:"message"` // the reply subject up to the call
	Hop     int    `json:"hop"`
}

// whereabouts is one answer. The route is the one that the message came along,
// of one that went on the one that it took. Times are lengths, so that clocks
// need not agree.
type whereabouts struct {
	Hop      int     `json:"hop"`
	From     string  `json:"from"`
	Type     string  `json:"type"`
	To       string  `json:"to"`
	Instance string  `json:"instance"`
	State    string  `json:"state"`
	For      float64 `json:"for_ms"`
	Stored   bool    `json:"stored,omitempty"` // it came along a durable route
	at       moment  // when it came
}

func (a *whereabouts) route() string { return where(a.From, a.Type, a.To) }

// gone says that it is not there any more.
func (a *whereabouts) gone() bool { return a.State == HopForwarded || a.State == HopStored }

// length is how long it was so at a moment.
func (a *whereabouts) length(now moment) time.Duration {
	d := time.Duration(min(a.For, float64(maxBudget/time.Millisecond)) * float64(time.Millisecond))
	return d + max(0, now.since(a.at))
}

// messageKey is the part of a requester's reply subject that tells its calls
// apart.
func messageKey(reply string) (string, bool) {
	i := strings.Index(reply, tailMark)
	if i <= 0 {
		return "", false
	}
	head := i + len(tailMark)
	call := strings.IndexByte(reply[head:], '.')
	if call < 2 || reply[head] != kindRequest {
		return "", false
	}
	return reply[:head+call], true
}

// messageKey is the same of a call that begins here.
func (l *link) messageKey(call uint64) string {
	return l.inbox + tailMark + string(rune(kindRequest)) + strconv.FormatUint(call, 36)
}

func isMessage(reply, key string) bool {
	return len(reply) > len(key) && reply[len(key)] == '.' && strings.HasPrefix(reply, key)
}

// ReadHops puts the answers to a [WhereQuestion] in order, of a request that
// began along first and took so long. Answers that cannot be read are passed
// over.
func ReadHops(first string, answers [][]byte, asked, spent time.Duration) []Hop {
	var all []whereabouts
	for _, data := range answers {
		if a, ok := readWhere(data); ok {
			a.at = moment(asked)
			all = append(all, a)
		}
	}
	return pathOf(first, HopUnknown, all, 0, moment(spent))
}

func readWhere(data []byte) (a whereabouts, ok bool) {
	if len(data) > maxWhere || json.Unmarshal(data, &a) != nil || a.Hop < 0 || a.Hop > maxHops+1 || a.For < 0 {
		return a, false
	}
	for _, name := range []string{a.From, a.Type, a.To} {
		if CheckName(name) != nil {
			return a, false
		}
	}
	switch a.State {
	case HopQueued, HopHandling, HopForwarded, HopStored:
		return a, true
	}
	return a, false
}

// pathOf puts answers in order. Of one hop the one counts that knows most: that
// has it in hand now. The request went along first, where it is in the state
// otherwise while nobody says more. began and end are the request's.
func pathOf(first, otherwise string, all []whereabouts, began, end moment) []Hop {
	slices.SortStableFunc(all, func(a, b whereabouts) int {
		return cmp.Or(cmp.Compare(a.Hop, b.Hop), cmp.Compare(certainty[b.State], certainty[a.State]))
	})
	all = slices.CompactFunc(all, func(a, b whereabouts) bool { return a.Hop == b.Hop })
	var path []Hop
	route, until := first, began
	for _, a := range all {
		if !a.gone() {
			stored := a.Stored || otherwise == HopStored && a.route() == route
			return append(path, Hop{Route: a.route(), Instance: a.Instance, State: a.State, For: min(a.length(end), end.since(began)), Spent: end.since(until), Stored: stored})
		}
		otherwise = HopUnknown
		if a.State == HopStored {
			otherwise = HopStored
		}
		left := min(end, max(until, end.add(-a.length(end))))
		if !strings.HasPrefix(a.route(), route+"→") { // else it passed the bridge
			path = append(path, Hop{Route: route, Instance: a.Instance, State: HopForwarded, For: end.since(left), Spent: left.since(until)})
			until = left
		}
		route = a.route()
	}
	return append(path, Hop{Route: route, State: otherwise, For: end.since(until), Spent: end.since(until), Stored: otherwise == HopStored})
}

var certainty = map[string]int{HopHandling: 3, HopQueued: 2, HopForwarded: 1, HopStored: 1}

// describe says where a request is, and how its budget was spent.
func describe(path []Hop, spent time.Duration) string {
	last := path[len(path)-1]
	state := fmt.Sprintf("%s for %v", last.State, short(last.For))
	if last.State == HopUnknown {
		state = "no instance there says that it has it"
	}
	text := fmt.Sprintf("timeout at %s (%s) after %v", last.Route, state, short(spent))
	before := ": "
	for _, h := range path {
		text += fmt.Sprintf("%s%s %v", before, h.Route, short(h.Spent))
		before = ", "
	}
	return text
}

// short is d as a person reads it.
func short(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// askAt is when to ask where a request is; zero: it is over too soon.
func askAt(began, deadline moment) moment {
	budget := deadline.since(began)
	at := deadline.add(-min(budget/4, askBefore))
	if at.since(began) < askLeast || deadline.since(at) < 2*tick {
		return 0
	}
	return at
}

// askWhere asks for some of the calls that are about to time out. It does not
// hold up the others.
func (l *link) askWhere(due []dueCall) {
	now := time.Now()
	for _, c := range due {
		if !l.asking.take(now) {
			return
		}
		go l.askOne(c)
	}
}

// dueCall is what is asked of a call.
type dueCall struct {
	id   uint64
	to   string
	hops int
}

func (l *link) askOne(c dueCall) {
	id := strconv.FormatUint(c.id, 36)
	l.calls.update(c.id, func(c *call) { c.asked = true })
	q := whereQuestion{l.messageKey(c.id), c.hops}
	l.askThere(q, c.to, l.inbox+"."+whereKind+id)
}

// askThere asks the instances of a worker, and the bridges, through which a
// program without the library passes on.
func (l *link) askThere(q whereQuestion, worker, reply string) {
	data, err := json.Marshal(q)
	if err != nil {
		return // a string and a number always marshal
	}
	for _, to := range []string{worker, BridgeWorker} {
		// What does not leave is not answered; the TIMEOUT says that nobody did.
		_ = l.nc.PublishRequest(WhereSubject(l.prefix, to), reply, data)
	}
}

// onWhere takes one answer for a call.
func (l *link) onWhere(id string, m *nats.Msg) {
	n, err := strconv.ParseUint(id, 36, 64)
	a, ok := readWhere(m.Data)
	if err != nil || !ok {
		return
	}
	a.at = clock()
	l.calls.update(n, func(c *call) {
		if c.asked && len(c.path) <= maxHops {
			c.path = append(c.path, a)
		}
	})
}

// pathNow is where the call is at its deadline, as far as it was asked; nil
// when it was not.
func (c *call) pathNow() []Hop {
	if !c.asked {
		return nil
	}
	state := HopUnknown
	if c.stored {
		state = HopStored
	}
	return pathOf(c.route.String(), state, c.path, c.began, clock())
}

// answerWhere tells where a message is that was passed on from here, and asks
// those it went to. False when it was not.
func (l *link) answerWhere(q whereQuestion, reply, instance string) bool {
	p, ok := l.ring.passedOn(q)
	if !ok {
		p, ok = l.handed.passedOn(q)
	}
	if !ok {
		return false
	}
	l.tellWhere(reply, whereabouts{
		Hop: q.Hop, From: p.route.From, Type: p.route.Type, To: p.route.To, Instance: instance, State: p.state, For: milliseconds(clock().since(p.at)),
	})
	l.askThere(whereQuestion{q.Message, q.Hop + 1}, p.route.To, reply)
	return true
}

func (l *link) readQuestion(m *nats.Msg) (q whereQuestion, ok bool) {
	if len(m.Data) > maxWhere || m.Reply == "" || !l.mayAnswer(m.Reply) || json.Unmarshal(m.Data, &q) != nil {
		return q, false
	}
	return q, q.Message != "" && q.Hop >= 0 && q.Hop <= maxHops
}

func (l *link) tellWhere(reply string, a whereabouts) {
	data, err := json.Marshal(a)
	if err == nil {
		err = l.nc.Publish(reply, data)
	}
	if err != nil {
		l.log.warn("could not tell where a request is", func(e *zerolog.Event) { e.Err(err) })
	}
}

// passed is a request that went on.
type passed struct {
	route *Route
	state string
	at    moment
}

// passedOn finds a forward that the ring still has.
func (r *ring) passedOn(q whereQuestion) (p passed, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.slots {
		s := &r.slots[i]
		if s.id != unused && s.kind == kindRequest && s.hops == q.Hop+1 && isMessage(s.rest, q.Message) {
			return passed{s.route, HopForwarded, s.deadline.add(-s.budget)}, true
		}
	}
	return passed{}, false
}

// handed are the last requests that were stored for their next hop.
type handed struct {
	mu   sync.Mutex // guards what follows
	all  [keptStored]handedOne
	next int
}

type handedOne struct {
	passed
	asker string
	hops  int
}

func (h *handed) add(route *Route, asker string, hops int) {
	if asker == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[h.next%keptStored] = handedOne{passed{route, HopStored, clock()}, asker, hops}
	h.next++
}

func (h *handed) passedOn(q whereQuestion) (p passed, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.all {
		if one := &h.all[i]; one.hops == q.Hop+1 && isMessage(one.asker, q.Message) {
			return one.passed, true
		}
	}
	return passed{}, false
}

// tellWhereabouts answers one question. It runs in a goroutine of its own.
func (w *Instance) tellWhereabouts(m *nats.Msg) {
	q, ok := w.link.readQuestion(m)
	if !ok {
		return
	}
	if in, state := w.dispatch.find(q); in != nil {
		w.link.tellWhere(m.Reply, whereabouts{
			Hop: q.Hop, From: in.from, Type: in.typ, To: in.to, Instance: w.id, State: state, For: milliseconds(in.stateLength(state)),
			Stored: in.job != nil,
		})
		return
	}
	w.link.answerWhere(q, m.Reply, w.id)
}

// find looks for a message in hand or in the queue.
func (d *dispatcher) find(q whereQuestion) (in *inbound, state string) {
	is := func(in *inbound) bool { return int(in.hops) == q.Hop && isMessage(in.answerTo(), q.Message) }
	d.mu.Lock()
	defer d.mu.Unlock()
	for in := d.hand; in != nil; in = in.next {
		if is(in) && !in.answered.Load() {
			return in, HopHandling
		}
	}
	for i := range d.queue.len() {
		if in := d.queue.at(i); is(in) {
			return in, HopQueued
		}
	}
	return nil, ""
}

// stateLength is how long it has been so. Of a stored message it is not known
// when it came.
func (in *inbound) stateLength(state string) time.Duration {
	started := moment(in.started.Load())
	switch {
	case state == HopHandling && started > 0:
		return clock().since(started)
	case in.job != nil:
		return 0
	}
	t, framed := parseReply(in.reply)
	if !framed {
		return 0
	}
	return clock().since(in.deadline.add(-t.budget))
}
