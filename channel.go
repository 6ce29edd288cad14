package damrey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/wire"
	"github.com/rs/zerolog"
)

// readAfterDeadline is how long an answer waits for a reader of its Rch after
// the request's deadline.
const readAfterDeadline = 10 * time.Second

// channels are the two channels of [Worker].
type channels struct {
	send chan *Message
	recv chan *Message

	pump    sync.Once
	mu      sync.Mutex // guards what follows
	asked   bool       // RecvChannel was called
	shutOff bool
	taking  sync.WaitGroup // handlers before recv
	stop    chan struct{}  // closed: what was not taken from recv gets STOP
	once    sync.Once
}

func (c *channels) init() {
	c.send = make(chan *Message)
	c.recv = make(chan *Message)
	c.stop = make(chan struct{})
}

func (c *channels) wanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// stopTaking ends the waiting for a reader of recv.
func (c *channels) stopTaking() { c.once.Do(func() { close(c.stop) }) }

// shut closes recv when nobody stands before it any more.
func (c *channels) shut() {
	c.stopTaking()
	c.mu.Lock()
	first := !c.shutOff
	c.shutOff = true
	c.mu.Unlock()
	if first {
		c.taking.Wait()
		close(c.recv)
	}
}

// enter says false when recv is being closed.
func (c *channels) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shutOff {
		return false
	}
	c.taking.Add(1)
	return true
}

// SendChannel takes messages to send: with Rch as requests, without as sends.
// It is read, and answered STOP after the instance stopped, until its owner
// closes it.
func (w *Instance) SendChannel() chan<- *Message {
	w.channels.pump.Do(func() { go w.pumpSends() })
	return w.channels.send
}

// RecvChannel gives the messages for which there is no handler, one at a time;
// with no handlers at all, every message. It closes after Stop. Call it before
// Run when there are handlers too.
func (w *Instance) RecvChannel() <-chan *Message {
	w.channels.mu.Lock()
	w.channels.asked = true
	w.channels.mu.Unlock()
	return w.channels.recv
}

var errNotTaken = errors.New("stopped before it was taken")

// toChannel is the handler of an instance that reads RecvChannel. The message
// is in flight until its reply is written to Rch, or until its deadline; one
// that wants no reply only until it is taken.
func (w *Instance) toChannel(ctx context.Context, in Msg) (Msg, error) {
	if !w.channels.enter() {
		return nil, errNotTaken
	}
	deadline, _ := ctx.Deadline()
	m := &Message{Msg: in, Rch: make(chan []string, 1), Timeout: time.Until(deadline)}
	err := w.offer(m, deadline)
	w.channels.taking.Done()
	if err != nil {
		return nil, err
	}
	if ctx.(*handleContext).unasked {
		return nil, nil
	}
	select {
	case out := <-m.Rch:
		return out, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// offer waits until somebody takes m.
func (w *Instance) offer(m *Message, deadline time.Time) error {
	select {
	case w.channels.recv <- m:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case w.channels.recv <- m:
		return nil
	case <-w.channels.stop:
		return errNotTaken
	case <-timer.C:
		return context.DeadlineExceeded
	}
}

func (w *Instance) noHandler(_ context.Context, in Msg) (Msg, error) {
	return nil, &fabricError{ErrNoHandler, fmt.Sprintf("worker %q has no handler for type %s", w.cfg.Name, quoteClip(in.Type())), ""}
}

// pumpSends reads SendChannel until its owner closes it.
func (w *Instance) pumpSends() {
	for m := range w.channels.send {
		if m != nil {
			w.post(m)
		}
	}
}

// post sends one message of the channel and does not hold up the next: sends
// that have to wait do so in a lane of their own, in order, and requests before
// the table was read for the first time each on a goroutine.
func (w *Instance) post(m *Message) {
	budget := m.Timeout
	if budget <= 0 {
		budget = w.cfg.Timeout
	}
	now := clock()
	deadline := now.add(min(budget, maxBudget))
	msg := Msg(m.Msg)
	if m.Rch == nil {
		w.lane.post(w, waitingSend{msg, now, deadline})
		return
	}
	if w.view.Load() == nil && !w.stopped() {
		go w.postRequest(msg, m.Rch, deadline)
		return
	}
	w.postRequest(msg, m.Rch, deadline)
}

func (w *Instance) postSend(msg Msg, now, deadline moment) {
	err := checkPosted(msg)
	if err == nil {
		err = w.sendBy(context.Background(), deadline, deadline.since(now), msg.Type(), msg.Args())
	}
	if err != nil {
		w.stats.undelivered.Add(1)
		w.log.warn("a message from SendChannel could not be sent", func(e *zerolog.Event) { e.Err(err).Str("type", clip(msg.Type())) })
	}
}

func (w *Instance) postRequest(msg Msg, rch chan []string, deadline moment) {
	typ := msg.Type()
	answerNow := func(out Msg) { w.handBack(rch, out, deadline) }
	if err := checkPosted(msg); err != nil {
		answerNow((&fabricError{ErrMalformed, err.Error(), w.cfg.Name}).message(typ))
		return
	}
	route, err := w.route(context.Background(), typ, deadline)
	switch {
	case errors.Is(err, ErrClosed):
		answerNow(Msg{STOP})
		return
	case errors.Is(err, ErrNotConnected):
		answerNow(Msg{TIMEOUT})
		return
	case err != nil:
		answerNow((&fabricError{ErrNoRoute, err.Error(), where(w.cfg.Name, typ, "")}).message(typ))
		return
	}
	if fe := route.refusal(); fe != nil {
		w.stats.paused.Add(1)
		answerNow(fe.message(typ))
		return
	}
	c := &call{route: route, began: clock(), deadline: deadline, payload: wire.Append(nil, msg)}
	if fe := w.link.checkSize(c.payload, route); fe != nil {
		answerNow(fe.message(typ))
		return
	}
	sp := w.tracer.sending(context.Background(), route, 0, len(c.payload))
	c.header = sp.header()
	c.deliver = func(a answer) {
		m := a.message(typ)
		w.link.outs.answered(route, a, m.Tag())
		w.tracer.requested(sp, requested{c.id, route, 0, c.began, deadline}, m, nil)
		w.handBack(rch, m, deadline)
	}
	w.link.begin(c)
}

func checkPosted(msg Msg) error {
	if len(msg) < 2 || msg[0] != REQUEST {
		return fmt.Errorf("a message to send is [REQUEST, type, arguments…], not %s", quoteClip(fmt.Sprint([]string(msg))))
	}
	return nil
}

// handBack gives an answer to its reader. One that nobody reads yet costs a
// goroutine, and is given up some time after the deadline.
func (w *Instance) handBack(rch chan []string, out Msg, deadline moment) {
	select {
	case rch <- out:
		return
	default:
	}
	go func() {
		timer := time.NewTimer(deadline.add(readAfterDeadline).left())
		defer timer.Stop()
		select {
		case rch <- out:
		case <-timer.C:
			w.stats.abandoned.Add(1)
			w.log.warn("nobody read an answer from Rch", func(e *zerolog.Event) { e.Str("tag", out.Tag()) })
		}
	}()
}
