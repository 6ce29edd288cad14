package damrey

import (
	"context"
	"errors"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// conclude does what a handler's output says.
func (w *Instance) conclude(in *inbound, out Msg, err error, over bool) {
	if in.job != nil {
		w.concludeJob(in, out, err)
		return
	}
	if err != nil {
		w.stats.failed.Add(1)
		w.concludeError(in, err, over)
		return
	}
	switch out.Tag() {
	case REQUEST:
		w.forward(in, out)
	case RESPONSE, ERROR:
		if out.Tag() == ERROR {
			w.stats.failed.Add(1)
			in.fails(errorOutcome(out))
		}
		w.reply(in, typed(out, in.typ))
	default:
		if len(out) == 0 {
			w.reply(in, Msg{RESPONSE, in.typ})
			return
		}
		fe := wrongOutput(in, out)
		in.fails(codeOf(fe.kind), fe.text)
		w.fail(in, fe)
	}
}

// concludeError answers a handler's error. over says that the handler's time
// was up, and then its context's end is no failure of its own.
func (w *Instance) concludeError(in *inbound, err error, over bool) {
	in.fails(outcomeOf(nil, err))
	if fe, ok := err.(*fabricError); ok {
		w.fail(in, fe)
		return
	}
	if errors.Is(err, errNotTaken) {
		in.started.Store(false)
		w.stopOne(in)
		return
	}
	if in.answerTo() == "" {
		w.log.warn("handler failed", func(e *zerolog.Event) { e.Err(err).Str("route", in.where()) })
		return
	}
	if over && errors.Is(err, context.DeadlineExceeded) {
		w.replyTimeout(in)
		return
	}
	w.reply(in, Msg{ERROR, in.typ, err.Error()})
}

// typed fills in the request's type where the output has none. The original
// format's ["ERROR", text] stays as it is.
func typed(out Msg, typ string) Msg {
	if len(out) == 1 {
		return Msg{out[0], typ}
	}
	if out[1] != "" || len(out) == 2 && out[0] == ERROR {
		return out
	}
	return append(Msg{out[0], typ}, out[2:]...)
}

// reply answers the requester, if there is one, once.
func (w *Instance) reply(in *inbound, out Msg) {
	if in.answerTo() == "" || !in.answered.CompareAndSwap(false, true) {
		return
	}
	buf := w.buffer()
	*buf = wire.Append((*buf)[:0], out)
	if fe := w.link.checkSize(*buf, in); fe != nil {
		*buf = wire.Append((*buf)[:0], fe.message(in.typ))
	}
	w.link.post(parcel{to: in.answerTo(), payload: buf, size: len(*buf), deadline: in.deadline, release: w.release}, in.alone)
}

// replyTimeout answers TIMEOUT, once.
func (w *Instance) replyTimeout(in *inbound) {
	if in.answered.CompareAndSwap(false, true) {
		w.link.timeout(in.answerTo(), in.where(), max(in.stateLength(HopQueued), in.stateLength(HopHandling)))
	}
}

// fail answers an ERROR of the fabric. For a send it is logged instead. A job
// has failed once more.
func (w *Instance) fail(in *inbound, fe *fabricError) {
	if in.job != nil {
		w.jobFailed(in, fe.message(in.typ), fe)
		return
	}
	if in.answerTo() == "" {
		w.log.warn("a send failed", func(e *zerolog.Event) { e.Str("code", codeOf(fe.kind)).Str("why", fe.text).Str("route", fe.where) })
		return
	}
	w.reply(in, fe.message(in.typ))
}

// forward sends the output on along this worker's routes. The next hop's
// answer goes past this worker to the requester.
func (w *Instance) forward(in *inbound, out Msg) {
	buf := w.buffer()
	defer w.release(buf)
	route, fe := w.onward(in, out, buf)
	if fe != nil {
		in.fails(codeOf(fe.kind), fe.text)
		w.fail(in, fe)
		return
	}
	now := clock()
	if now >= in.deadline {
		in.fails(report.Timeout, "its budget was used up before it could go on")
		w.expired(in)
		return
	}
	var err error
	sp := in.ctx.span.forward(route, int(in.hops)+1)
	if route.Durable {
		err = w.forwardStored(in, route, *buf, sp.header())
	} else if in.answerTo() == "" {
		err = w.sendPayload(context.Background(), route, *buf, int(in.hops)+1, in.deadline, in.deadline.since(now), sp.header(), nil)
	} else if in.answered.CompareAndSwap(false, true) {
		err = w.link.send(context.Background(), push{
			route: route, subject: route.subject, payload: *buf, count: 1, kind: kindRequest,
			rest: in.answerTo(), hops: int(in.hops) + 1, cost: route.Cost, deadline: in.deadline, budget: in.deadline.since(now), header: sp.header(),
		})
		if err != nil {
			in.answered.Store(false)
		}
	}
	sp.endSend(err)
	if err != nil {
		in.fails(report.Error, "could not forward: "+err.Error())
		w.fail(in, &fabricError{ErrFailed, "could not forward: " + err.Error(), route.String()})
		return
	}
	w.stats.forwarded.Add(1)
}

// onward finds the route of a handler's output and encodes it into buf, or says
// why it cannot go on.
func (w *Instance) onward(in *inbound, out Msg, buf *[]byte) (*Route, *fabricError) {
	route, err := w.view.Load().onward(w.cfg.Name, out.Type())
	if err != nil {
		return nil, &fabricError{ErrNoRoute, err.Error(), where(w.cfg.Name, out.Type(), "")}
	}
	if fe := route.refusal(); fe != nil {
		w.stats.paused.Add(1)
		return nil, fe
	}
	if in.hops >= maxHops {
		w.stats.looped.Add(1)
		return nil, loopError(route.String())
	}
	*buf = wire.Append((*buf)[:0], out)
	return route, w.link.checkSize(*buf, route)
}

// sendPayload pushes an encoded send, in a batch where the route says so.
func (w *Instance) sendPayload(ctx context.Context, r *Route, payload []byte, hops int, deadline moment, budget time.Duration, header nats.Header, settled func(fate)) error {
	w.stats.sends.Add(1)
	p := push{
		route: r, subject: r.subject, payload: payload, count: 1,
		kind: kindSend, hops: hops, cost: r.Cost, deadline: deadline, budget: budget, header: header, settled: settled,
	}
	if r.Batch > 1 && settled == nil {
		return w.batches.add(ctx, p)
	}
	return w.link.send(ctx, p)
}
