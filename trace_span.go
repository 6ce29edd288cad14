package damrey

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// span is one part of a traced message's way. A nil one is of a message that is
// not traced, and its methods do nothing.
type span struct {
	t      *tracer
	self   trace.SpanContext
	parent trace.SpanID
	leg    leg
	kind   string
	kept   string
	begin  time.Time
	otel   trace.Span // nil: nobody wants it
	links  []trace.SpanContext
	// answered is of a request.
	answered bool
}

// leg is the part of a line that a span is of.
type leg struct {
	from, typ, to string
	hop           int
	durable       bool // of what leaves
}

func legOf(r *Route, hop int) leg { return leg{r.From, r.Type, r.To, hop, r.Durable} }

func (e *envelope) leg() leg { return leg{e.from, e.typ, e.to, int(e.hops), false} }

// begin starts a span below parent; without a valid one it is the first of its
// trace.
func (t *tracer) begin(ctx context.Context, parent trace.SpanContext, kind string, l leg, at time.Time, linked bool, kept string) *span {
	var links []trace.SpanContext
	if linked && parent.IsValid() {
		links = []trace.SpanContext{parent}
	}
	return t.beginLinked(ctx, parent, links, kind, l, at, kept)
}

// beginLinked is begin for a span that has to do with others than its parent.
func (t *tracer) beginLinked(ctx context.Context, parent trace.SpanContext, links []trace.SpanContext, kind string, l leg, at time.Time, kept string) *span {
	s := &span{t: t, parent: parent.SpanID(), leg: l, kind: kind, kept: kept, begin: at, links: links}
	id := newSpanID()
	if t.otel != nil {
		ctx, s.otel = t.otel.Start(trace.ContextWithRemoteSpanContext(ctx, parent), conventions[kind].name+" "+l.typ, s.options()...)
		if given := trace.SpanContextFromContext(ctx); given.IsValid() && given.SpanID() != parent.SpanID() {
			parent, id = given, given.SpanID()
		}
	}
	if !parent.IsValid() {
		parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: newTraceID()})
	}
	s.self = withKept(parent.WithSpanID(id).WithTraceFlags(trace.FlagsSampled).WithRemote(false), kept)
	return s
}

// conventions are OpenTelemetry's words for the kinds.
var conventions = map[string]struct {
	name string
	kind trace.SpanKind
	typ  attribute.KeyValue
}{
	report.KindSend:    {"send", trace.SpanKindProducer, semconv.MessagingOperationTypeSend},
	report.KindWait:    {"wait", trace.SpanKindInternal, semconv.MessagingOperationTypeReceive},
	report.KindHandle:  {"handle", trace.SpanKindConsumer, semconv.MessagingOperationTypeProcess},
	report.KindForward: {"forward", trace.SpanKindProducer, semconv.MessagingOperationTypeSend},
	report.KindBatch:   {"batch", trace.SpanKindProducer, semconv.MessagingOperationTypeSend},
}

func (s *span) options() []trace.SpanStartOption {
	c := conventions[s.kind]
	all := []trace.SpanStartOption{
		trace.WithSpanKind(c.kind), trace.WithTimestamp(s.begin),
		trace.WithAttributes(
			semconv.MessagingSystemKey.String("nats"), c.typ, semconv.MessagingOperationName(c.name),
			semconv.MessagingDestinationName(messageSubject(s.t.prefix, s.leg.to, s.leg.typ, s.leg.from)),
			semconv.MessagingConsumerGroupName(s.leg.to), semconv.MessagingClientID(s.t.instance),
			attribute.String("damrey.route", where(s.leg.from, s.leg.typ, s.leg.to)),
			attribute.String("damrey.worker", s.t.worker), attribute.Int("damrey.hop", s.leg.hop),
		),
	}
	for _, other := range s.links {
		all = append(all, trace.WithLinks(trace.Link{SpanContext: other}))
	}
	return all
}

// header is what a message carries so that the next span is part of this one;
// nil when it is not traced. Nobody may change it.
func (s *span) header() nats.Header {
	if s == nil {
		return nil
	}
	h := make(nats.Header, 2)
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), s.self), carrier(h))
	return h
}

// within is ctx for what happens in the span.
func (s *span) within(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	if s.otel != nil {
		return trace.ContextWithSpan(ctx, s.otel)
	}
	return trace.ContextWithSpanContext(ctx, s.self)
}

// forward begins the span of a message that goes on.
func (s *span) forward(r *Route, hop int) *span {
	if s == nil {
		return nil
	}
	return s.t.begin(context.Background(), s.self, report.KindForward, legOf(r, hop), time.Now(), false, s.kept)
}

// gone tells of a forward that has left that nobody took it: a span below it, as long as that was tried. Nil when it is not traced.
func (s *span) gone() func(why string) {
	if s == nil {
		return nil
	}
	return func(why string) {
		s.t.begin(context.Background(), s.self, report.KindForward, s.leg, s.begin, false, s.kept).end(report.Stop, why)
	}
}

// end ends the span. text is of a failure.
func (s *span) end(outcome, text string) { s.endAt(time.Now(), outcome, text, false) }

func (s *span) endAt(now time.Time, outcome, text string, slow bool) {
	if s == nil {
		return
	}
	if s.otel != nil {
		if outcome != report.OK {
			s.otel.SetStatus(otelcodes.Error, text)
			s.otel.SetAttributes(semconv.ErrorTypeKey.String(outcome))
		}
		s.otel.End(trace.WithTimestamp(now))
	}
	kept := keptBecause(s.kept, outcome, slow)
	if kept == "" || s.kept == "" && !s.t.spares(now, s.leg, outcome) {
		return
	}
	own := s.report(now.Sub(s.begin), outcome, text)
	own.Kept = kept
	s.t.publish(s.self.TraceID(), own)
}

func keptBecause(kept, outcome string, slow bool) string {
	switch {
	case kept != "":
		return kept
	case outcome != report.OK:
		return report.Failed
	case slow:
		return report.Slow
	}
	return ""
}

func (s *span) report(took time.Duration, outcome, text string) report.Span {
	r := report.Span{
		ID: s.self.SpanID().String(), Kind: s.kind,
		From: s.leg.from, Type: s.leg.typ, To: s.leg.to, Hop: s.leg.hop,
		Worker: s.t.worker, Instance: s.t.instance,
		Begin: s.begin.UTC(), Duration: float64(max(0, took)) / float64(time.Millisecond), Outcome: outcome, Error: headerText(text),
	}
	r.Stored, r.Answered = s.leg.durable && outcome == report.OK, s.answered
	if s.parent.IsValid() {
		r.Parent = s.parent.String()
	}
	for _, other := range s.links {
		id := other.SpanID().String()
		if other.TraceID() != s.self.TraceID() {
			id = other.TraceID().String() + "-" + id
		}
		r.Links = append(r.Links, id)
	}
	return r
}

// sending begins the span of a message that is sent with ctx, or gives nil when
// it is not traced.
func (t *tracer) sending(ctx context.Context, r *Route, hops, size int) *span {
	parent := traceIn(ctx)
	var kept string
	switch {
	case parent.IsValid():
		kept = keptOf(parent)
	case !t.samples(hops):
		return nil
	default:
		kept = report.Sampled
	}
	if !t.hasRoom(size) {
		return nil
	}
	return t.begin(ctx, parent, report.KindSend, legOf(r, hops), time.Now(), false, kept)
}

// samples says whether a line that begins here is traced.
func (t *tracer) samples(hops int) bool {
	return t.share > 0 && hops == 0 && rand.Float64() < t.share && t.sampled.take(time.Now())
}

// hasRoom says whether a message has room for the headers of a trace.
func (t *tracer) hasRoom(size int) bool {
	limit := t.l.state.maxPayload.Load()
	return limit <= 0 || int64(size) <= limit-traceRoom
}

// endSend ends the span of a send.
func (s *span) endSend(err error) {
	if s == nil {
		return
	}
	s.end(outcomeOf(nil, err))
}

// outcomeOf puts the end of a message into a trace's words.
func outcomeOf(m Msg, err error) (outcome, text string) {
	switch {
	case err == nil && m.Tag() == STOP, errors.Is(err, ErrNoInstance):
		outcome = report.Stop
	case err == nil && m.Tag() == TIMEOUT, errors.Is(err, context.DeadlineExceeded):
		outcome = report.Timeout
	case err == nil && m.Tag() == ERROR:
		return errorOutcome(m)
	case err == nil:
		return report.OK, ""
	default:
		return errorCode(err), err.Error()
	}
	if err != nil {
		text = err.Error()
	}
	return outcome, text
}

func errorOutcome(m Msg) (outcome, text string) {
	e := replyError(m)
	if e.Code != "" {
		return e.Code, e.Text
	}
	return report.Error, e.Text
}

// errorCode is the fabric's word for err; what a handler says itself is an error.
func errorCode(err error) string {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return report.Error
}
