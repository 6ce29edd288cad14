package damrey

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// ending is what became of a message.
type ending struct {
	outcome string // in the words of [report.Copy]
	span    string // in those of [report.Span]
	why     string // of a bad one
}

var (
	answered  = &ending{outcome: "response", span: report.OK}
	passedOn  = &ending{outcome: "forward", span: report.OK}
	noAnswer  = &ending{outcome: "none", span: report.OK}
	tooLate   = &ending{"timeout", report.Timeout, "its budget was used up"}
	tooMany   = &ending{"busy", codeOf(ErrBusy), "the instance's queue is full"}
	nothingOf = &ending{span: report.Stop, why: "given back"} // it is as if it had not come
)

func failure(span, why string) *ending { return &ending{"error", span, why} }

// isGood: neither an error nor a timeout has been counted.
func (e *ending) isGood() bool { return e == answered || e == passedOn || e == noAnswer }

// conclude does what a handler's output says.
func (w *Instance) conclude(in *inbound, out Msg, err error, over bool) *ending {
	if in.job != nil {
		return w.concludeJob(in, out, err)
	}
	if err != nil {
		w.stats.failed.Add(1)
		return w.concludeError(in, err, over)
	}
	switch out.Tag() {
	case REQUEST:
		return w.forward(in, out)
	case ERROR:
		w.stats.failed.Add(1)
		why := errorText(out)
		code, _ := errorOutcome(out)
		in.route.failed(code, why)
		w.reply(in, typed(out, in.typ))
		return failure(code, why)
	case RESPONSE:
		w.reply(in, typed(out, in.typ))
		return in.answer()
	default:
		if len(out) == 0 {
			w.reply(in, Msg{RESPONSE, in.typ})
			return in.answer()
		}
		return w.fail(in, wrongOutput(in, out))
	}
}

// answer is the end of a message that was handled well.
func (in *inbound) answer() *ending {
	if in.answerTo() == "" {
		return noAnswer
	}
	return answered
}

// errorText is what an ERROR says, also one of the original format.
func errorText(out Msg) string { return strings.Join(out[min(2, len(out)-1):], " ") }

// concludeError answers a handler's error. over says that the handler's time
// was up, and then its context's end is no failure of its own.
func (w *Instance) concludeError(in *inbound, err error, over bool) *ending {
	if fe, ok := err.(*fabricError); ok {
		return w.fail(in, fe)
	}
	if errors.Is(err, errNotTaken) {
		in.started.Store(0)
		w.stopOne(in)
		return nothingOf
	}
	how := failure(outcomeOf(nil, err))
	if over && errors.Is(err, context.DeadlineExceeded) {
		how = tooLate
		in.route.timedOut()
	} else {
		in.route.failed(how.span, how.why)
	}
	if in.answerTo() == "" {
		w.log.warn("handler failed", func(e *zerolog.Event) { e.Err(err).Str("route", in.where()) })
		return how
	}
	if how == tooLate {
		w.replyTimeout(in)
		return how
	}
	w.reply(in, Msg{ERROR, in.typ, err.Error()})
	return how
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

// fail answers an ERROR of the fabric to what was handled. A job has failed once
// more.
func (w *Instance) fail(in *inbound, fe *fabricError) *ending {
	if in.job != nil {
		return w.jobFailed(in, fe.message(in.typ), fe)
	}
	in.route.failed(codeOf(fe.kind), fe.text)
	w.refuse(in, fe)
	return failure(codeOf(fe.kind), fe.text)
}

// refuse answers an ERROR of the fabric. For a send it is logged instead.
func (w *Instance) refuse(in *inbound, fe *fabricError) {
	if in.answerTo() == "" {
		w.log.warn("a send failed", func(e *zerolog.Event) { e.Str("code", codeOf(fe.kind)).Str("why", fe.text).Str("route", fe.where) })
		return
	}
	w.reply(in, fe.message(in.typ))
}

// forward sends the output on along this worker's routes. The next hop's
// answer goes past this worker to the requester.
func (w *Instance) forward(in *inbound, out Msg) *ending {
	buf := w.buffer()
	defer w.release(buf)
	route, fe := w.onward(in, out, buf)
	if fe != nil {
		return w.fail(in, fe)
	}
	now := clock()
	if now >= in.deadline {
		w.expired(in)
		return tooLate
	}
	var err error
	sp := in.ctx.span.forward(route, int(in.hops)+1)
	if route.Durable {
		err = w.forwardStored(in, route, *buf, sp.header())
		sp.endSend(err)
		if err != nil {
			return failure(outcomeOf(nil, err))
		}
		w.stats.forwarded.Add(1)
		return passedOn
	}
	if in.answerTo() == "" {
		err = w.sendPayload(context.Background(), route, *buf, int(in.hops)+1, in.deadline, in.deadline.since(now), sp.header(), nil)
	} else if in.answered.CompareAndSwap(false, true) {
		err = w.link.send(context.Background(), push{
			route: route, subject: route.subject, payload: *buf, count: 1, kind: kindRequest,
			rest: in.answerTo(), hops: int(in.hops) + 1, cost: route.Cost, deadline: in.deadline, budget: in.deadline.since(now), header: sp.header(), gone: sp.gone(),
		})
		if err != nil {
			in.answered.Store(false)
		}
	}
	sp.endSend(err)
	if err != nil {
		return w.fail(in, &fabricError{ErrFailed, "could not forward: " + err.Error(), route.String()})
	}
	w.stats.forwarded.Add(1)
	return passedOn
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
