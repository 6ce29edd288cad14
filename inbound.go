package damrey

import (
	"bytes"
	"errors"
	"sync/atomic"

	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// envelope is what the messages of one payload have in common.
type envelope struct {
	typ      string
	from     string
	to       string
	reply    string // the sender's reply subject, whole
	route    *inRoute
	came     moment // when it was received
	deadline moment // end of the budget
	asker    int32  // index in reply of where an answer goes
	hops     int32
	cost     int32
	trace    *incoming // nil: it is not traced
}

// inbound is one message that came in for this worker.
type inbound struct {
	*envelope              // shared by the messages of a batch that are not traced, and changed for a job only
	msg       Msg          // the handler's once it was started
	job       *job         // not nil: it is stored at the broker until it is done
	started   atomic.Int64 // moment when it left the queue; 0: it surely did not run
	answered  atomic.Bool  // whoever sets it answers
	alone     bool         // nothing else was queued or running when it was started
	pushed    bool         // past the queue's limit

	ctx        handleContext
	prev, next *inbound // among those in hand, guarded by the dispatcher
}

// single is one message with an envelope of its own, in one piece of memory.
type single struct {
	envelope envelope
	in       [1]inbound
}

func newSingle() *single {
	s := &single{}
	s.in[0].envelope = &s.envelope
	return s
}

// answerTo is where an answer goes; empty for a send.
func (e *envelope) answerTo() string { return e.reply[e.asker:] }

func (e *envelope) where() string { return where(e.from, e.typ, e.to) }

// String is where.
func (e *envelope) String() string { return e.where() }

// receive takes what comes on the worker's subject. It runs in one goroutine,
// in the order of arrival.
func (w *Instance) receive(m *nats.Msg) {
	w.link.outbox.heard()
	one := newSingle()
	e := &one.envelope
	e.to, e.reply, e.cost = w.cfg.Name, m.Reply, DefaultCommandMPU
	wrong := w.address(e, m.Subject)
	budget := w.cfg.Timeout
	if t, framed := parseReply(m.Reply); framed {
		budget, e.hops, e.cost = t.budget, int32(t.hops), int32(max(1, t.cost))
		e.asker = int32(len(m.Reply) - len(t.answerTo(m.Reply)))
	}
	if to := e.answerTo(); to != "" && !w.link.mayAnswer(to) {
		w.link.refuse(to)
		return
	}
	e.came = clock()
	e.deadline = e.came.add(budget - w.stall.since(e.came))
	if wrong != nil {
		w.stats.received.Add(1)
		w.malformed(&one.in[0], wrong)
		return
	}
	var traced map[int]*incoming
	if m.Header != nil {
		e.trace, traced = traceOf(m.Header, e.came.time()), tracesOf(m.Header, e.came.time())
	}
	w.accept(one, m.Data, traced)
}

// address reads the subject, or knows what it says. A route is known only when
// its names have passed the check before.
func (w *Instance) address(e *envelope, subject string) (err error) {
	if len(subject) > w.subjectHead {
		if e.route = w.ins.known(subject[w.subjectHead:]); e.route != nil {
			e.typ, e.from = e.route.typ, e.route.from
			return nil
		}
	}
	if e.typ, e.from, err = parseMessageSubject(subject, w.subjectHead); err != nil {
		e.route = w.ins.others()
		return err
	}
	e.route = w.ins.of(e.typ, e.from)
	return nil
}

// accept reads the payload and queues what is in it: one message, or several
// sends of a batch, up to the first that is wrong. Those of a batch that are
// traced are told by their place.
func (w *Instance) accept(one *single, data []byte, traced map[int]*incoming) {
	e, all := &one.envelope, one.in[:0]
	payload := wire.NewReader(data)
	// A batch has one message a line. Somebody else's may not, and pays for it.
	if lines := 1 + bytes.Count(data, newline); lines > 1 {
		all = make([]inbound, 0, min(lines, roomForBatch))
	}
	for place := 0; place == 0 || payload.More(); place++ {
		msg, err := payload.Next()
		if err == nil && payload.More() && e.answerTo() != "" {
			err = errSeveral
		}
		if err == nil {
			err = checkInbound(msg, e.typ)
		}
		w.stats.received.Add(1)
		if err != nil {
			w.enqueue(all)
			w.malformed(&inbound{envelope: e}, err)
			return
		}
		if len(all) == cap(all) {
			w.enqueue(all)
			all = make([]inbound, 0, roomForBatch)
		}
		all = all[:len(all)+1]
		in := &all[len(all)-1]
		in.envelope, in.msg = e, msg
		if t := traced[place]; t != nil {
			own := *e
			own.trace = t
			in.envelope = &own
		}
	}
	w.enqueue(all)
}

// roomForBatch is how many messages of a batch are queued at a time.
const roomForBatch = 64

var newline = []byte("\n")

var errSeveral = errors.New("a request holds several messages")

func checkInbound(msg []string, typ string) error {
	switch {
	case len(msg) < 2 || msg[0] != REQUEST:
		return errors.New(`a message to a worker is ["REQUEST", type, arguments…]`)
	case msg[1] != typ:
		return errors.New("the message's type " + quoteClip(msg[1]) + " is not the subject's " + quoteClip(typ))
	}
	return nil
}

func (w *Instance) malformed(in *inbound, err error) {
	w.stats.malformed.Add(1)
	in.route.unreadable()
	w.log.warn("malformed message", func(e *zerolog.Event) { e.Err(err).Str("route", in.where()) })
	w.refuse(in, &fabricError{ErrMalformed, err.Error(), in.where()})
}

// enqueue takes over all.
func (w *Instance) enqueue(all []inbound) {
	if w.view.Load().paused() {
		w.refusePaused(all)
		return
	}
	taken := w.dispatch.submit(all)
	for i := range all[taken:] {
		in := &all[taken+i]
		w.stats.busy.Add(1)
		in.route.refusedBusy()
		w.taps.giveEnded(in, tooMany, clock())
		w.log.warn("busy: the queue is full", func(e *zerolog.Event) { e.Str("route", in.where()).Int("queue", w.opts.queue) })
		w.refuse(in, &fabricError{ErrBusy, tooMany.why, in.where()})
		w.tracer.refused(in, tooMany)
	}
}

// process runs one message through its handler. It is the dispatcher's run: now
// is the time, and what it returns is the time then.
func (w *Instance) process(in *inbound, now moment) moment {
	if in.job != nil {
		if in.job.begun != nil {
			begins := w.noteBegun(in)
			if now = clock(); !begins {
				return now
			}
		}
		if in.job.part != nil && !in.job.part.starts(in) {
			return now
		}
		in.deadline = now.add(w.cfg.Timeout) // it has waited where it is safe
	}
	if now >= in.deadline {
		w.expired(in)
		w.taps.giveEnded(in, tooLate, now)
		w.tracer.refused(in, tooLate)
		return now
	}
	h := w.mux.find(in.typ)
	if h == nil {
		h = w.fallback
	}
	deadline := min(in.deadline, now.add(w.cfg.Timeout))
	ctx := &in.ctx
	ctx.parent, ctx.deadline, ctx.hops, ctx.unasked = w.handling, deadline, in.hops+1, in.answerTo() == ""
	ctx.job, ctx.unasked = in.job, ctx.unasked && in.job == nil
	came, slow := in.came, in.slowAt(now, deadline) // a job with a key may be on its way here again when its end is counted
	if in.trace != nil {
		ctx.span = w.tracer.handling(in, now, slow)
		ctx.parent = ctx.span.within(ctx.parent)
	}
	sp, copies := ctx.span, w.taps.take(in, now)
	out, err := w.call(ctx, h, in)
	ctx.end()
	w.stats.handled.Add(1)
	in.route.returned()
	how := w.conclude(in, out, err, err != nil && clock() >= deadline)
	over := clock()
	w.tracer.handled(in, sp, how, stay{came, now, over, slow})
	in.route.took(came, now, over)
	if over >= deadline && how.isGood() {
		in.route.timedOut()
	}
	w.taps.give(copies, in, how, came, now, over)
	return over
}

// slowAt is when a message that is started now has used up half of its budget,
// or half of what its handler has. The budget of a job begins with its handler.
func (in *inbound) slowAt(now, deadline moment) moment {
	since := in.came
	if in.job != nil {
		since = now
	}
	return min(since+(in.deadline-since)/2, now+(deadline-now)/2)
}

// expired ends a message whose budget was used up before it was started. A
// requester with the library has said TIMEOUT by its own clock, or is about to;
// another one's clock is not known.
func (w *Instance) expired(in *inbound) {
	w.stats.expired.Add(1)
	in.route.timedOut()
	if in.answerTo() == "" {
		w.log.warn("a send's budget was used up before it was started", func(e *zerolog.Event) { e.Str("route", in.where()) })
		return
	}
	if _, framed := parseReply(in.answerTo()); !framed {
		w.replyTimeout(in)
	}
}
