package damrey

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats.go"
)

// concludeJob does what a handler's output says about a stored message. It is
// acknowledged only when its own output is stored or taken, so it may run twice
// when the instance or the broker dies between the two; what it forwards to a
// durable route then has the same id and is there once.
func (w *Instance) concludeJob(in *inbound, out Msg, err error) *ending {
	switch {
	case !w.jobs.has(in.job):
		// It was handed back when the instance stopped: another does it, and what
		// came of it here, mostly the end of its context, counts for nothing.
		return nothingOf
	case errors.Is(err, errNotTaken):
		w.handBackJob(in)
		return nothingOf
	case err != nil:
		w.stats.failed.Add(1)
		return w.jobFailed(in, errorMessage(in.typ, err), err)
	case out.Tag() == REQUEST:
		return w.forwardJob(in, out)
	case out.Tag() == ERROR:
		w.stats.failed.Add(1)
		return w.jobFailed(in, typed(out, in.typ), nil)
	case len(out) == 0:
		w.reply(in, Msg{RESPONSE, in.typ})
	case out.Tag() == RESPONSE:
		w.reply(in, typed(out, in.typ))
	default:
		return w.fail(in, wrongOutput(in, out))
	}
	w.jobDone(in)
	return in.answer()
}

func errorMessage(typ string, err error) Msg {
	if fe, ok := err.(*fabricError); ok {
		return fe.message(typ)
	}
	return Msg{ERROR, typ, err.Error()}
}

// forwardJob sends the output of a job on along this worker's routes.
func (w *Instance) forwardJob(in *inbound, out Msg) *ending {
	buf := w.buffer()
	defer w.release(buf)
	route, fe := w.onward(in, out, buf)
	switch {
	case fe == nil:
	case fe.kind == ErrLoop, fe.kind == ErrTooLarge:
		return w.giveUpJob(in, fe)
	default:
		return w.fail(in, fe)
	}
	w.stats.forwarded.Add(1)
	ended := func(err error) {
		var large *fabricError
		switch {
		case err == nil:
			w.jobDone(in)
		case errors.As(err, &large) && large.kind == ErrTooLarge:
			w.giveUpJob(in, large)
		default:
			kind := ErrFailed
			if errors.Is(err, ErrFull) {
				kind = ErrFull
			}
			w.fail(in, &fabricError{kind, "could not forward: " + err.Error(), route.String()})
		}
	}
	sp := in.ctx.span.forward(route, int(in.hops)+1)
	err := w.pushOutput(in, route, *buf, sp.header(), ended)
	sp.endSend(err)
	if err != nil {
		ended(err)
		return failure(outcomeOf(nil, err))
	}
	return passedOn
}

// pushOutput begins to send a job's output on, and calls ended when it is
// stored or taken. When it returns an error it does not.
func (w *Instance) pushOutput(in *inbound, route *Route, payload []byte, header nats.Header, ended func(error)) error {
	hops := int(in.hops) + 1
	deadline := clock().add(storeTime)
	switch {
	case route.Durable:
		w.link.outs.of(route).left(1)
		j := jobHeader{id: in.job.outputID(), reply: in.answerTo(), hops: hops, path: in.path(), patient: true, trace: header}
		return w.link.storePayload(context.Background(), route, payload, j, deadline, func(err error) {
			if err == nil {
				w.link.handed.add(route, in.answerTo(), hops)
			}
			ended(err)
		})
	case in.answerTo() == "":
		deadline = clock().add(w.cfg.Timeout)
		return w.sendPayload(context.Background(), route, payload, hops, deadline, w.cfg.Timeout, header, tell(ended, route))
	}
	err := w.link.send(context.Background(), push{
		route: route, subject: route.subject, payload: payload, count: 1, kind: kindRequest,
		rest: in.answerTo(), hops: hops, cost: route.Cost, deadline: clock().add(w.cfg.Timeout), budget: w.cfg.Timeout, header: header,
	})
	if err == nil {
		// Whoever is next answers the requester, and this side says STOP when
		// nobody is there.
		in.answered.Store(true)
		ended(nil)
	}
	return err
}

// outputID is the id of a job's output: the same whenever the job runs, also
// when it was stored twice, or was a dead letter meanwhile, so that those behind
// it may know it.
func (j *job) outputID() string {
	return cmp.Or(j.msg.Header.Get(HeaderLineage), j.id()) + "-1"
}

// path are the routes behind what follows from the message, as far as they are
// known: a message that comes directly does not say those before its own.
func (in *inbound) path() string {
	own := in.from + "." + in.typ + "." + in.to
	if in.job == nil {
		return own
	}
	if before := in.job.msg.Header.Get(HeaderPath); before != "" {
		return before + " " + own
	}
	return own
}

// giveUpJob is for what trying again would not change.
func (w *Instance) giveUpJob(in *inbound, fe *fabricError) *ending {
	return w.jobFailed(in, fe.message(in.typ), Discard(fe))
}

// forwardStored stores what a message that came directly is followed by. What
// goes wrong has been answered when it returns an error.
func (w *Instance) forwardStored(in *inbound, route *Route, payload []byte, header nats.Header) error {
	deadline := clock().add(storeTime)
	if in.answerTo() != "" {
		deadline = in.deadline
	}
	if !in.answered.CompareAndSwap(false, true) {
		return nil
	}
	w.link.outs.of(route).left(1)
	hops := int(in.hops) + 1
	ended := func(err error) {
		if err == nil {
			w.link.handed.add(route, in.answerTo(), hops)
			return
		}
		in.answered.Store(false)
		if in.answerTo() == "" {
			w.stats.undelivered.Add(1)
		}
		w.fail(in, unstored(err, route))
	}
	j := jobHeader{reply: in.answerTo(), hops: hops, path: in.path(), trace: header}
	if err := w.link.storePayload(context.Background(), route, payload, j, deadline, ended); err != nil {
		ended(err)
		return err
	}
	return nil
}

func wrongOutput(in *inbound, out Msg) *fabricError {
	return &fabricError{ErrFailed,
		fmt.Sprintf("the handler's output begins with %s; it must be REQUEST, RESPONSE or ERROR", quoteClip(out[0])), in.where()}
}

// decodeJob reads a stored payload, which is one message of typ.
func decodeJob(data []byte, typ string) (Msg, error) {
	msg, err := wire.Decode(data)
	if err == nil {
		err = checkInbound(msg, typ)
	}
	return msg, err
}
