package damrey

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

const (
	// spareSpans is how many spans an instance publishes in a second of messages
	// whose trace is not kept from its beginning, and spareKinds of how many routes
	// and outcomes it publishes the first one of a second besides. More are
	// counted, see [Stats.SpansLeftOut].
	spareSpans = 10
	spareKinds = 64
	// sampledEach is how many lines an instance begins to trace in a second. More
	// are of no use to anybody, and what keeps them has to store each span.
	sampledEach = 50
	// gather is how long spans wait for others, to leave in few writes: each
	// wakes the connection, the broker and its stream.
	gather = 50 * time.Millisecond
	// spanQueue is how many spans may wait to be published.
	spanQueue = 1024
)

// tracer makes the spans of one instance or bridge, and publishes those that
// are kept.
type tracer struct {
	l        *link
	prefix   string
	worker   string
	instance string
	share    float64
	otel     trace.Tracer // nil: nobody wants them
	spare    allowance    // of spans that are kept without being asked for
	firsts   firsts       // of them
	sampled  allowance    // of lines
	queue    chan *kept
}

type kept struct {
	trace trace.TraceID
	span  report.Span
}

func (t *tracer) init(prefix, worker, instance string, share float64, p trace.TracerProvider) {
	t.prefix, t.worker, t.instance, t.share = prefix, worker, instance, share
	t.spare.each, t.sampled.each = spareSpans, sampledEach
	t.queue = make(chan *kept, spanQueue)
	if p != nil {
		t.otel = p.Tracer("github.com/damrey/damrey", trace.WithInstrumentationVersion(Version))
	}
}

// spares says whether one more span is kept of what failed or was slow, and
// counts it if not.
func (t *tracer) spares(now time.Time, l leg, outcome string) bool {
	if t.firsts.take(now, happening{l.from, l.typ, l.to, outcome}) || t.spare.take(now) {
		return true
	}
	t.l.count.spansLeftOut.Add(1)
	return false
}

// publish leaves a span to run. What finds no room is dropped, counted and told.
func (t *tracer) publish(id trace.TraceID, s report.Span) {
	select {
	case t.queue <- &kept{id, s}:
	default:
		t.l.count.spansLeftOut.Add(1)
		t.l.log.warn("a span could not leave, since too many wait to; trace fewer messages with damrey.WithTraceSampling", nil)
	}
}

// run publishes until ctx ends and the queue is empty.
func (t *tracer) run(ctx context.Context) {
	for {
		select {
		case k := <-t.queue:
			pause(ctx, gather)
			t.publishNow(k)
			t.drain()
		case <-ctx.Done():
			t.drain()
			return
		}
	}
}

func (t *tracer) drain() {
	for {
		select {
		case k := <-t.queue:
			t.publishNow(k)
		default:
			return
		}
	}
}

func (t *tracer) publishNow(k *kept) {
	data, err := report.FormatSpan(k.span)
	if err == nil {
		err = t.l.nc.Publish(report.TraceSubject(t.prefix, k.trace.String()), data)
	}
	if err != nil {
		t.l.log.warn("a span could not leave", func(e *zerolog.Event) { e.Err(err) })
	}
}

// passing begins the span of a message that a bridge passes on; nil when it is
// not traced. The line of a program without the library begins at the bridge.
func (t *tracer) passing(o *outgoing) *span {
	if o.trace == nil {
		if !t.samples(o.push.hops) || !t.hasRoom(len(o.push.payload)) {
			return nil
		}
		return t.begin(context.Background(), trace.SpanContext{}, report.KindSend, legOf(o.push.route, o.push.hops), time.Now(), false, report.Sampled)
	}
	p := o.trace.parent
	return t.begin(context.Background(), p, report.KindForward, legOf(o.push.route, o.push.hops), o.trace.at, false, keptOf(p))
}

// stay is how long a message was here: when it came, was started and was over,
// and from when on it counts as slow.
type stay struct{ came, began, over, slow moment }

// handling ends the waiting of a traced message and begins the span of its
// handler.
func (t *tracer) handling(in *inbound, now, slow moment) *span {
	from, began := in.trace, now.time()
	why := keptOf(from.parent)
	t.begin(context.Background(), from.parent, report.KindWait, in.leg(), from.at, from.linked, why).endAt(began, report.OK, "", now > slow)
	return t.begin(context.Background(), from.parent, report.KindHandle, in.leg(), began, from.linked, why)
}

// handled ends it. Of a message that was not traced and failed, or was slow
// since half of its time was used up, its handler's span is kept, and that of
// its waiting if it was slow before its handler began.
func (t *tracer) handled(in *inbound, s *span, how *ending, at stay) {
	slow := at.over > at.slow
	switch {
	case s != nil:
		s.endAt(s.begin.Add(at.over.since(at.began)), how.span, how.why, slow)
	case how != nothingOf && (slow || !how.isGood()):
		t.alone(in, how, at)
	}
}

func (t *tracer) alone(in *inbound, how *ending, at stay) {
	now := time.Now()
	keeps, keepsWait := t.spares(now, in.leg(), how.span), at.began > at.slow && t.spares(now, in.leg(), report.KindWait)
	if !keeps {
		return // nor is its waiting
	}
	took := at.over.since(at.began)
	s := span{t: t, leg: in.leg(), kind: report.KindHandle, begin: now.Add(-took)}
	id := newTraceID()
	if key, ok := messageKey(in.answerTo()); ok {
		id, s.parent = requestTrace(key)
	}
	s.keep(id, newSpanID(), took, how.span, how.why, at.over > at.slow)
	if keepsWait {
		waited := at.began.since(at.came)
		s.kind, s.begin = report.KindWait, s.begin.Add(-waited)
		s.keep(id, newSpanID(), waited, report.OK, "", true)
	}
}

// keep publishes a span of a message that was not traced.
func (s *span) keep(id trace.TraceID, own trace.SpanID, took time.Duration, outcome, text string, slow bool) {
	s.self = trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: own})
	r := s.report(took, outcome, text)
	r.Kept = keptBecause("", outcome, slow)
	s.t.publish(id, r)
}

// requestTrace is the trace of a request that was not traced, and the span of
// its requester. All who have it in hand know its key, so what each of them
// keeps of it is one trace, though nothing of that travels with it.
func requestTrace(key string) (id trace.TraceID, sent trace.SpanID) {
	sum := sha256.Sum256([]byte(key))
	copy(id[:], sum[:])
	copy(sent[:], sum[len(id):])
	return id, sent
}

// requested is a request that is over.
type requested struct {
	id              uint64
	route           *Route
	hops            int
	began, deadline moment
}

// requested ends the span of a request. Of one that was not traced and failed
// or was slow, its requester keeps one, so that the line's begin is known too.
func (t *tracer) requested(s *span, r requested, m Msg, err error) {
	now := clock()
	took := now.since(r.began)
	slow := 2*took > r.deadline.since(r.began)
	switch {
	case s != nil:
		outcome, text := outcomeOf(m, err)
		s.answered = outcome == report.OK
		s.endAt(now.time(), outcome, text, slow)
	case err == nil && m.Tag() == RESPONSE && !slow, errors.Is(err, context.Canceled):
	default:
		outcome, text := outcomeOf(m, err)
		if !t.spares(time.Now(), legOf(r.route, r.hops), outcome) {
			return
		}
		id, sent := requestTrace(t.l.messageKey(r.id))
		one := span{t: t, leg: legOf(r.route, r.hops), kind: report.KindSend, begin: r.began.time()}
		one.answered = outcome == report.OK
		one.keep(id, sent, took, outcome, text, slow)
	}
}

// refused tells of a message that no handler was called with.
func (t *tracer) refused(in *inbound, how *ending) {
	if in.trace != nil {
		now := time.Now()
		s := t.begin(context.Background(), in.trace.parent, report.KindWait, in.leg(), in.trace.at, in.trace.linked, keptOf(in.trace.parent))
		s.endAt(now, how.span, how.why, false)
		return
	}
	t.alone(in, how, stay{})
}

// allowance admits so many in a second.
type allowance struct {
	each int

	mu     sync.Mutex // guards what follows
	second int64
	used   int
}

func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := now.Unix(); s != a.second {
		a.second, a.used = s, 0
	}
	if a.used >= a.each {
		return false
	}
	a.used++
	return true
}

// happening is how a message along a route came to its end.
type happening struct{ from, typ, to, outcome string }

// firsts admits the first of each kind in a second, so that what fails all the
// time does not hide what failed once.
type firsts struct {
	mu     sync.Mutex // guards what follows
	second int64
	seen   map[happening]bool
}

func (f *firsts) take(now time.Time, what happening) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := now.Unix(); s != f.second || f.seen == nil {
		f.second = s
		if f.seen == nil {
			f.seen = make(map[happening]bool)
		}
		clear(f.seen)
	}
	if f.seen[what] || len(f.seen) >= spareKinds {
		return false
	}
	f.seen[what] = true
	return true
}
