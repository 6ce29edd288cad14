package damrey

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	// progressEvery is how often the broker is told that a job is in hand.
	progressEvery = bucket.AckWait / 4
	// suspectAfter is how often a job may come again without having failed: its
	// instances died, or were cut off, while they had it. From then on it is watched:
	// it runs alone, so that what was only in the same hand is not taken for what they
	// die of, and before that it is noted that it is begun.
	suspectAfter = 10
	// deathLimit is how often in a row a watched job may be begun and come to no end.
	deathLimit = 10
)

// What a dead letter says in headers, beside those of the message.
const (
	HeaderDeadError    = "Damrey-Error"     // the last one
	HeaderDeadFailures = "Damrey-Failures"  // attempts that failed
	HeaderDeadInstance = "Damrey-Instance"  // that gave it up
	HeaderDeadWorker   = "Damrey-Worker"    // of that instance
	HeaderDeadTime     = "Damrey-Time"      // RFC 3339
	HeaderDeadSequence = "Damrey-Sequence"  // in the worker's stream of jobs
	HeaderDeadHandouts = "Damrey-Delivered" // how often it was handed out
	HeaderOriginalID   = "Damrey-ID"        // the application's, or under which it was stored first
	HeaderDeadEdited   = "Damrey-Edited"    // RFC 3339; when somebody changed the message
	HeaderDeadReplaces = "Damrey-Replaces"  // the letter's sequence before that
)

// job is a stored message in the hand of this instance. It ends once: done,
// postponed, handed back or dead.
type job struct {
	msg      *nats.Msg
	sequence uint64
	stored   time.Time
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

// jobsInHand are told to the broker as in progress until they end.
type jobsInHand struct {
	mu  sync.Mutex // guards what follows
	all map[*job]struct{}
}

func (h *jobsInHand) add(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = make(map[*job]struct{})
	}
	h.all[j] = struct{}{}
}

// end says false when j has ended before.
func (h *jobsInHand) end(j *job) bool {
	h.mu.Lock()
	ended := j.over
	j.over = true
	delete(h.all, j)
	h.mu.Unlock()
	return !ended
}

// has says that j has not ended.
func (h *jobsInHand) has(j *job) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !j.over
}

func (h *jobsInHand) list() []*job {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*job, 0, len(h.all))
	for j := range h.all {
		all = append(all, j)
	}
	return all
}

// keepJobs tells the broker what is in progress until ctx ends.
func (w *Instance) keepJobs(ctx context.Context) {
	t := time.NewTicker(progressEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, j := range w.jobs.list() {
			if j.rescued || j.owned() {
				continue
			}
			if err := w.link.nc.Publish(j.msg.Reply, inProgress); err != nil {
				w.log.warn("could not tell the broker that a job is in progress", func(e *zerolog.Event) { e.Err(err) })
			}
		}
	}
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
	j := &job{msg: m}
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
