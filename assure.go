package damrey

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// assureEvery is how often the broker itself is asked while sends leave.
	assureEvery = time.Second
	// assureWait is when a question that did not come back is given up. A frozen
	// link is noticed within 6 s.
	assureWait = 8 * time.Second
	assureKind = "e"
	// brokerInfo is answered by the broker's JetStream, past every agent.
	brokerInfo = "$JS.API.INFO"
	wayBroke   = "the way to the broker broke after these sends were taken; whether they arrived is unknown and they are not pushed again"
)

// assurance follows the sends that our own server has taken to the broker.
// Behind an agent a marker proves only that the agent has them, and those can
// still vanish in a leaf link that breaks. So the broker is asked once a second
// over the same way: NATS keeps its order, and when the answer is there, the
// broker has had everything before the question. When it does not come, the
// fate of what was sent since the last answer is unknown, and that is said.
type assurance struct {
	mu       sync.Mutex // guards what follows
	open     int        // sends confirmed here and not known to have reached the broker
	asked    int        // of them, those before the question under way
	question uint64     // under way
	asking   bool
	down     bool // our server knows that the broker is away, and answers 503 itself
	timer    *time.Timer
	stopped  bool
	done     chan struct{} // not nil while someone waits for the end of the question
}

type echo byte

const (
	echoCame   echo = iota
	echoMissed      // no responders
	echoLost
)

func (a *assurance) init() { a.question = rand.Uint64() >> 1 }

// add is called with sends that have just been confirmed here.
func (a *assurance) add(l *link, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open += n
	if a.open > 0 && !a.asking && a.timer == nil && !a.stopped {
		a.timer = time.AfterFunc(assureEvery, func() { a.ask(l) })
	}
}

// ask sends a question, if there is reason for one.
func (a *assurance) ask(l *link) {
	a.mu.Lock()
	if a.asking || a.open == 0 || a.stopped {
		a.timer = nil
		a.mu.Unlock()
		return
	}
	a.question++
	id := a.question
	a.asking, a.asked = true, a.open
	a.timer = time.AfterFunc(assureWait, func() { a.resolve(l, id, echoLost) })
	a.mu.Unlock()
	err := l.nc.PublishRequest(brokerInfo, l.inbox+"."+assureKind+strconv.FormatUint(id, 36), nil)
	if err != nil {
		a.resolve(l, id, echoLost)
	}
}

// onEcho is called in the inbox's order with what follows the mark.
func (a *assurance) onEcho(l *link, text string, m *nats.Msg) {
	id, err := strconv.ParseUint(text, 36, 64)
	if err != nil {
		l.count.unasked.Add(1)
		return
	}
	how := echoCame
	if isNoResponders(m) {
		how = echoMissed
	}
	if !a.resolve(l, id, how) {
		l.count.unasked.Add(1)
	}
}

// resolve ends the question id. False when it is not the one under way.
func (a *assurance) resolve(l *link, id uint64, how echo) bool {
	a.mu.Lock()
	if !a.asking || id != a.question {
		a.mu.Unlock()
		return false
	}
	a.timer.Stop()
	a.timer, a.asking = nil, false
	lost := a.judge(how)
	if a.open > 0 && !a.stopped {
		a.timer = time.AfterFunc(assureEvery, func() { a.ask(l) })
	}
	if a.done != nil {
		close(a.done)
		a.done = nil
	}
	a.mu.Unlock()
	l.unsure(lost, wayBroke)
	return true
}

// judge says how many sends have an unknown fate now. mu is held.
func (a *assurance) judge(how echo) (lost int) {
	switch {
	case how == echoCame:
		a.open -= a.asked
		a.down = false
		return 0
	case how == echoMissed && a.down:
		// Our server has known it all the time: what had to pass the broker came
		// back with a 503, what did not was taken by somebody near.
		a.open = 0
		return 0
	}
	lost, a.open = a.open, 0
	a.down = how == echoMissed
	return lost
}

// await asks until everything that was sent is known, or its fate was declared
// unknown.
func (a *assurance) await(ctx context.Context, l *link) error {
	for a.waitOnce(l, ctx.Done()) {
	}
	return ctx.Err()
}

// finish waits for at most limit, and ends.
func (a *assurance) finish(l *link, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// What is not known then is told below.
	_ = a.await(ctx, l)
	a.mu.Lock()
	a.stopped, a.asking = true, false
	if a.timer != nil {
		a.timer.Stop()
	}
	lost := a.open
	a.open = 0
	a.mu.Unlock()
	l.unsure(lost, wayBroke)
}

// waitOnce waits for the end of one question. False when none is needed, or it
// is over.
func (a *assurance) waitOnce(l *link, over <-chan struct{}) bool {
	a.mu.Lock()
	if a.open == 0 || a.stopped {
		a.mu.Unlock()
		return false
	}
	if a.done == nil {
		a.done = make(chan struct{})
	}
	done := a.done
	asking := a.asking
	if !asking && a.timer != nil {
		a.timer.Stop()
	}
	a.mu.Unlock()
	if !asking {
		a.ask(l)
	}
	select {
	case <-done:
		return true
	case <-over:
		return false
	}
}
