package damrey

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// job is a stored message in the hand of this instance. It ends once: done,
// postponed, handed back or dead.
type job struct {
	msg      *nats.Msg
	sequence uint64
	stored   time.Time
	received time.Time // here
	handouts uint64
	tried    tried
	attempts int
	backoff  time.Duration
	begun    *tried // not nil: it is watched, and this is noted before it is begun
	over     bool   // guarded by the jobs in hand

	// Of one with a key; guarded by keyedWork.mu from where it is placed on.
	keyed     bool
	part      *partition // nil when it came too late for one
	key       string
	handout   uint64 // the consumer's count
	askedAt   moment // of a pull that is no later than the one that brought it
	cameAt    moment
	notBefore moment // it failed, and waits
	placed    bool   // it was read, and waits for its turn
	first     bool   // of its key
	admitted  bool   // the dispatcher has it
	running   bool
	gone      bool // the broker does not count it as handed out
	rescued   bool // it never was, so that nothing can be said of it
}

// noName stands in a dead letter's subject for what is no name.
const noName = "_"

// takeJob queues one stored message and says what those like it cost; 0: it has
// ended, or is watched. It runs in the puller's goroutine.
func (w *Instance) takeJob(ctx context.Context, m *nats.Msg) (cost int) {
	one := w.newJob(m)
	in := &one.in[0]
	w.jobs.add(in.job)
	if !w.readJob(ctx, in) {
		return 0
	}
	if in.job.begun == nil {
		cost = int(in.cost)
	}
	// What was on its way here when the worker was paused waits with the rest.
	if w.view.Load().paused() || w.dispatch.submit(one.in[:]) == 0 {
		w.handBackJob(in)
	}
	return cost
}

func (w *Instance) newJob(m *nats.Msg) *single {
	w.stats.received.Add(1)
	w.stats.jobs.Add(1)
	j := &job{msg: m, received: time.Now()}
	if meta, err := m.Metadata(); err == nil { // else its subject is no job's
		j.sequence, j.handouts, j.handout = meta.Sequence.Stream, meta.NumDelivered, meta.Sequence.Consumer
		j.stored = meta.Timestamp
	}
	one := newSingle()
	one.in[0].job = j
	return one
}

// readJob fills in the rest. It says false when the job has ended with that.
func (w *Instance) readJob(ctx context.Context, in *inbound) bool {
	j, m := in.job, in.job.msg
	typ, from, ok := strings.Cut(strings.TrimPrefix(m.Subject, w.jobHead), ".")
	if j.keyed {
		from, _, ok = strings.Cut(from, ".") // the partition
	}
	if j.handouts == 0 || !ok || CheckName(typ) != nil || CheckName(from) != nil {
		*in.envelope = envelope{typ: noName, from: noName, to: w.cfg.Name}
		w.bury(in, "the subject is no job's: "+m.Subject)
		return false
	}
	*in.envelope = w.jobEnvelope(m.Header, typ, from)
	if in.trace != nil {
		in.trace.stored(m, j.handouts)
	}
	j.attempts = headerNumber(m.Header, HeaderAttempts, DefaultAttempts)
	j.backoff = headerDuration(m.Header, HeaderBackoff, DefaultBackoff)
	if j.handouts > 1 {
		w.stats.redelivered.Add(1)
		if !w.remember(ctx, j) {
			w.blind.Store(int64(clock()))
			w.handBackIn(in, blindPause)
			return false
		}
		j.waitOn()
		if j.tried.Begun >= deathLimit {
			w.bury(in, fmt.Sprintf("handed out %d times and failed %d times; begun alone %d times in a row, it came to no end: its instances die of it, or lose the broker",
				j.handouts, j.tried.Failures, j.tried.Begun))
			return false
		}
		if blind := w.blind.Load(); blind > 0 && clock().since(moment(blind)) < blindTime && j.handouts >= j.tried.Excused+suspectAfter {
			// It went round while nothing could be read.
			j.tried.Excused = j.handouts
			w.writeTried(in, fmt.Sprint("excused.", j.handouts), func() {})
		}
		if j.handouts > j.tried.Excused+uint64(j.tried.Failures+j.tried.Held)+suspectAfter {
			begun := j.tried
			begun.Begun++
			j.begun, in.cost = &begun, maxMPU
		}
	}
	if j.begun != nil && !j.keyed {
		return true // it is decoded when that is noted
	}
	if !w.decode(in) {
		return false
	}
	if j.keyed {
		// Without one, as another version may write it, all are one key.
		j.key = in.msg.Arg(headerNumber(m.Header, HeaderKey, maxKey))
	}
	return true
}

// decode reads a job's message. It says false when that gave the job up.
func (w *Instance) decode(in *inbound) bool {
	msg, err := decodeJob(in.job.msg.Data, in.typ)
	if err != nil {
		w.stats.malformed.Add(1)
		in.route.unreadable()
		w.bury(in, err.Error())
		return false
	}
	in.msg = msg
	return true
}

// noteBegun notes that a watched job is begun, and returns when that is stored,
// or cannot be. False when the job has ended meanwhile.
func (w *Instance) noteBegun(in *inbound) bool {
	j := in.job
	noted := make(chan struct{})
	w.note(in, *j.begun, fmt.Sprint("begun.", j.handouts), func() { close(noted) })
	<-noted
	return j.keyed || w.jobs.has(j) && w.decode(in) // a partition sees by itself
}

// waitOn goes on with the pause after a failure that began elsewhere. Should the
// clock there be ahead, it is still no longer than it was meant.
func (j *job) waitOn() {
	if wait := min(time.Until(j.tried.Again), j.tried.Again.Sub(j.tried.At)); wait > 0 {
		j.notBefore = clock().add(wait)
	}
}

func (w *Instance) jobEnvelope(h nats.Header, typ, from string) envelope {
	e := envelope{typ: typ, from: from, to: w.cfg.Name, route: w.ins.of(typ, from), came: clock(), reply: h.Get(HeaderReply)}
	if e.reply != "" && !w.link.mayAnswer(e.reply) {
		w.link.refuse(e.reply)
		e.reply = ""
	}
	e.hops = int32(headerNumber(h, HeaderHops, 0))
	e.cost = costOf(h)
	e.trace = traceOf(h, time.Now())
	return e
}

func costOf(h nats.Header) int32 {
	return int32(max(1, headerNumber(h, HeaderCost, DefaultCommandMPU)))
}

// headerNumber reads a number that is not negative and fits 31 bits.
func headerNumber(h nats.Header, name string, otherwise int) int {
	n, err := strconv.ParseInt(h.Get(name), 10, 32)
	if err != nil || n < 0 {
		return otherwise
	}
	return int(n)
}

func headerDuration(h nats.Header, name string, otherwise time.Duration) time.Duration {
	d, err := time.ParseDuration(h.Get(name))
	if err != nil || d < 0 {
		return otherwise
	}
	return d
}

// remember reads what is known of a job's failures. False when the broker does
// not say, and the job is not to be judged.
func (w *Instance) remember(ctx context.Context, j *job) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	subject := triedSubject(w.opts.prefix, w.cfg.Name, j.sequence)
	m, err := w.link.nc.RequestWithContext(ctx, directGet(bucket.TriedStream(w.opts.prefix), subject), nil)
	if err != nil {
		w.log.warn("what is known of a job's failures cannot be read; the job is handed back", func(e *zerolog.Event) {
			e.Err(err).Str("stream", bucket.TriedStream(w.opts.prefix))
		})
		return false
	}
	var t tried
	if json.Unmarshal(m.Data, &t) == nil && t.ID == j.id() && t.Stored.Equal(j.stored) {
		j.tried = t
	}
	return true
}

// id is the application's, or the one that was made up.
func (j *job) id() string {
	return cmp.Or(j.msg.Header.Get(HeaderOriginalID), j.msg.Header.Get(HeaderID))
}

// jobDone ends a job that is done.
func (w *Instance) jobDone(in *inbound) {
	if !w.jobs.end(in.job) {
		return
	}
	if in.job.rescued {
		go in.job.remove()
	} else if err := in.job.msg.Ack(); err != nil {
		w.log.warn("a job is done and could not be acknowledged; it will run again", func(e *zerolog.Event) { e.Err(err).Str("route", in.where()) })
	}
	in.job.leave()
}

// leave lets the next of a job's key run.
func (j *job) leave() {
	if j.part != nil {
		j.part.over(j)
	}
}

// giveBack comes before a job is handed back: later ones of its key must not run
// before it comes again.
func (j *job) giveBack() {
	if j.part != nil {
		j.part.unsettle(j)
	}
}

// handBackJob gives a job that was not started to another instance. That is no
// failure, and no death: before it could be taken for one it is written down.
func (w *Instance) handBackJob(in *inbound) {
	j := in.job
	if j.handouts < j.tried.Excused+suspectAfter {
		w.handBackNow(in)
		return
	}
	j.tried.Excused = j.handouts
	if j.keyed {
		j.tried.Again = time.Now().Add(j.notBefore.left()).UTC() // by the clock of what is written
	}
	w.writeTried(in, fmt.Sprint("excused.", j.handouts), func() { w.handBackNow(in) })
}

// comeAgain lets the broker hand a job out again after a while. One that it never
// handed out stays where it is.
func (j *job) comeAgain(wait time.Duration) error {
	if j.rescued {
		return nil
	}
	return j.msg.NakWithDelay(wait)
}

func (w *Instance) handBackNow(in *inbound) { w.handBackIn(in, handBackPause) }

func (w *Instance) handBackIn(in *inbound, wait time.Duration) {
	if !w.jobs.end(in.job) {
		return
	}
	w.stats.handedBack.Add(1)
	in.job.giveBack()
	if err := in.job.comeAgain(jitter(wait)); err != nil {
		w.log.warn("a job could not be handed back; it comes again in 10s", func(e *zerolog.Event) { e.Err(err).Str("route", in.where()) })
	}
}

// handBackPause keeps a job from coming back at once to where there is no room.
const handBackPause = 50 * time.Millisecond
