package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	// suspectAfter is how often a job may come again without having failed: its
	// instances died, or were cut off, while they had it. From then on it is watched:
	// it runs alone, so that what was only in the same hand is not taken for what they
	// die of, and before that it is noted that it is begun.
	suspectAfter = 10
	// deathLimit is how often in a row a watched job may be begun and come to no end.
	deathLimit = 10
)

// tried is what is remembered of a job's failures, and of what it may have done
// to its instances, as JSON on <prefix>.tried.<to>.<sequence>.
type tried struct {
	ID       string    `json:"id"`
	Stored   time.Time `json:"stored"` // by the stream; one that is made anew counts from 1 again
	Failures int       `json:"failures"`
	Excused  uint64    `json:"excused,omitempty"` // hand-outs until the last that surely killed nobody
	Held     int       `json:"held,omitempty"`    // met something paused or full, which is no failure
	Begun    int       `json:"begun,omitempty"`   // while watched, each time with no end that is known
	Again    time.Time `json:"again,omitzero"`    // not before; of one with a key, whose pause is not the broker's
	Error    string    `json:"error"`
	Instance string    `json:"instance"`
	At       time.Time `json:"at"`
}

const (
	// blindPause is how long a job is left alone whose failures cannot be read.
	blindPause = 500 * time.Millisecond
	// blindTime is how long after that coming again counts for nothing.
	blindTime = time.Minute
)

// heldPause is the longest pause, beside the route's own backoff, between two
// looks of a job at something paused or full, so that its end is soon seen.
const heldPause = 30 * time.Second

// isHeldUp says that an error is nobody's failure and passes: something paused,
// or no room where it goes on to.
func isHeldUp(err error) bool { return errors.Is(err, ErrPaused) || errors.Is(err, ErrFull) }

// jobFailed postpones a job, or gives it up after its last attempt. One that is
// held up has not failed, however long that lasts.
func (w *Instance) jobFailed(in *inbound, answer Msg, cause error) *ending {
	j := in.job
	text := "the handler answered " + clip(strings.Join(answer, " "))
	if cause != nil {
		text = cause.Error()
	}
	var discard *discardError
	given := errors.As(cause, &discard)
	how := in.countFailure(answer, cause, text)
	what := "a job failed and is tried again"
	var wait time.Duration
	if isHeldUp(cause) && !given {
		what = "a job met something paused or full and is tried again"
		j.tried.Held++
		wait = min(doubling(j.backoff, j.tried.Held), jitter(max(j.backoff, heldPause)))
	} else {
		j.tried.Failures++
		if given || j.tried.Failures >= j.attempts {
			w.bury(in, text)
			w.reply(in, answer)
			return how
		}
		wait = doubling(j.backoff, j.tried.Failures)
	}
	var retry *retryError
	if errors.As(cause, &retry) {
		wait = retry.after
	}
	w.postpone(in, what, text, wait)
	return how
}

// countFailure counts by route why a job is tried again or given up.
func (in *inbound) countFailure(answer Msg, cause error, text string) *ending {
	span, _ := outcomeOf(answer, cause)
	switch {
	case isHeldUp(cause):
	case errors.Is(cause, context.DeadlineExceeded) && clock() >= in.deadline:
		in.route.timedOut()
		return tooLate
	default:
		in.route.failed(span, text)
	}
	return failure(span, text)
}

// postpone writes down what happened to a job, and lets it come again.
func (w *Instance) postpone(in *inbound, what, text string, wait time.Duration) {
	j := in.job
	j.tried.Error = text
	if j.part != nil {
		j.tried.Again = time.Now().Add(wait).UTC()
	}
	w.stats.postponed.Add(1)
	w.log.warn(what, func(e *zerolog.Event) {
		e.Str("route", in.where()).Str("id", j.id()).Str("why", text).Int("failures", j.tried.Failures).Int("attempts", j.attempts).Stringer("again_in", wait)
	})
	w.writeTried(in, fmt.Sprintf("failed.%d.%d", j.tried.Failures, j.tried.Held), func() { w.letComeAgain(in, wait) })
}

// writeTried notes what became of a job that its instance has survived, so that
// it is not watched any more.
func (w *Instance) writeTried(in *inbound, what string, then func()) {
	j := in.job
	if j.begun != nil {
		j.tried.Excused = j.handouts
	}
	j.tried.Begun = 0
	w.note(in, j.tried, what, then)
}

// note stores what is known of a job, and goes on then, also when it cannot be
// stored. what tells this note of the job from its others.
func (w *Instance) note(in *inbound, t tried, what string, then func()) {
	j := in.job
	t.ID, t.Stored, t.Instance, t.At = j.id(), j.stored.UTC(), w.id, time.Now().UTC()
	data, err := json.Marshal(t)
	if err != nil {
		data = nil // strings, numbers and a time always marshal
	}
	m := &nats.Msg{
		Subject: triedSubject(w.opts.prefix, w.cfg.Name, j.sequence), Data: data,
		Header: nats.Header{HeaderID: {fmt.Sprintf("%s.%d.%x.%s.%s", w.cfg.Name, j.sequence, j.stored.UnixNano(), j.id(), what)}},
	}
	done := func(err error) {
		if err != nil {
			w.log.warn("what is known of a job's failures could not be stored; it may be tried more often than it should",
				func(e *zerolog.Event) { e.Err(err).Str("route", in.where()) })
		}
		then()
	}
	err = w.link.store(context.Background(), storing{msg: m, at: in.where(), deadline: clock().add(storeTime), spare: true, done: done})
	if err != nil {
		done(err)
	}
}

func (w *Instance) letComeAgain(in *inbound, wait time.Duration) {
	if part := in.job.part; part != nil {
		if part.again(in, wait) {
			return
		}
		wait = handBackPause // the next owner holds its key back
	}
	if !w.jobs.end(in.job) {
		return
	}
	in.job.giveBack()
	if err := in.job.comeAgain(wait); err != nil {
		w.log.warn("a failed job could not be postponed; it comes again in 10s", func(e *zerolog.Event) { e.Err(err).Str("route", in.where()) })
	}
}

// bury stores a job with the dead letters, and removes it here only then.
func (w *Instance) bury(in *inbound, why string) {
	j := in.job
	m := Burial{
		Worker: w.cfg.Name, Type: in.typ, From: in.from, ID: j.id(), Sequence: j.sequence, Stored: j.stored,
		Handouts: j.handouts, Failures: j.tried.Failures, Why: why, Instance: w.id, MaxPayload: w.link.state.maxPayload.Load(),
	}.Letter(w.opts.prefix, j.msg.Header, j.msg.Data)
	err := w.link.store(context.Background(), storing{
		msg: m, at: in.where(), deadline: clock().add(storeTime), spare: true, done: func(err error) { w.buried(in, why, err) },
	})
	if err != nil {
		w.buried(in, why, err)
	}
}

func (w *Instance) buried(in *inbound, why string, err error) {
	if err != nil {
		w.log.Error().Err(err).Str("route", in.where()).Str("id", in.job.id()).
			Msg("a job is to go to the dead letters and they cannot be written; it stays where it is")
		w.letComeAgain(in, jitter(storeTime))
		return
	}
	w.stats.dead.Add(1)
	w.log.warn("a job went to the dead letters", func(e *zerolog.Event) {
		e.Str("route", in.where()).Str("id", in.job.id()).Str("why", why).Int("failures", in.job.tried.Failures)
	})
	w.jobDone(in)
}

// headerText is text as a header can carry it.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, clipTo(s, 1000))
}

// clipTo cuts s to so many bytes, and no character in two.
func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
