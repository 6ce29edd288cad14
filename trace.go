package damrey

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// WithTracer tells spans to OpenTelemetry: one for each send, wait, handler and
// forward of a traced message, under the messaging conventions. A message is
// traced when the context it is sent with carries a sampled span, when the
// message before it in its line was traced, or by [WithTraceSampling].
func WithTracer(p trace.TracerProvider) Option { return func(o *options) { o.tracer = p } }

// WithTraceSampling traces this share, 0 to 1, of the lines that begin here,
// and keeps their spans in the fabric, where `damrey trace ls` shows them. The
// default is 0: only what failed or was slow is kept, of an instance at most ten
// spans a second and the first of each route and outcome; [Stats.SpansLeftOut] counts the others. However many lines the
// share is, an instance begins at most 50 such traces a second.
func WithTraceSampling(share float64) Option { return func(o *options) { o.sampling = share } }

func checkSampling(share float64) error {
	if share >= 0 && share <= 1 { // NaN is in no range
		return nil
	}
	return fmt.Errorf("damrey: WithTraceSampling: %v is no share; use 0 to 1, such as 0.01", share)
}

// traceRoom is what is left below max_payload for the headers of W3C Trace
// Context, which no other message has. One without room for them goes untraced.
const traceRoom = 1024

// incoming is what a traced message brought.
type incoming struct {
	parent trace.SpanContext
	at     time.Time // received, or stored
	linked bool      // handed out before
}

// traceOf reads the headers of a message; nil when it is not traced. What is no
// trace context is none.
func traceOf(h nats.Header, at time.Time) *incoming {
	if h == nil {
		return nil
	}
	return tracedBy(carrier(h), at)
}

// tracedBy is traceOf for what says it elsewhere than in a message's headers.
func tracedBy(c propagation.TextMapCarrier, at time.Time) *incoming {
	ctx := propagation.TraceContext{}.Extract(context.Background(), c)
	parent := trace.SpanContextFromContext(ctx)
	if !parent.IsValid() || !parent.IsSampled() {
		return nil
	}
	return &incoming{parent: parent, at: at}
}

// traceHeaders are those of a traced message, to pass on as they are; nil when it
// is not traced.
func traceHeaders(h nats.Header) nats.Header {
	in := traceOf(h, time.Time{})
	if in == nil {
		return nil
	}
	passed := make(nats.Header, 2)
	propagation.TraceContext{}.Inject(trace.ContextWithRemoteSpanContext(context.Background(), in.parent), carrier(passed))
	return passed
}

// stored is for a message that comes from a stream: it waits since it is there.
func (t *incoming) stored(m *nats.Msg, handouts uint64) {
	if meta, err := m.Metadata(); err == nil && meta.Timestamp.Before(t.at) {
		t.at = meta.Timestamp
	}
	t.linked = handouts > 1
}

// carrier gives OpenTelemetry a message's headers. NATS keeps their case, and
// what the clients of other languages do to it differs.
type carrier nats.Header

func (c carrier) Get(key string) string {
	if v := nats.Header(c).Get(key); v != "" {
		return v
	}
	for name, values := range c {
		if len(name) == len(key) && len(values) > 0 && equalFold(name, key) {
			return values[0]
		}
	}
	return ""
}

func (c carrier) Set(key, value string) { nats.Header(c).Set(key, value) }

func (c carrier) Keys() []string {
	var all []string
	for name := range c {
		all = append(all, name)
	}
	return all
}

func equalFold(a, b string) bool {
	for i := range len(a) {
		if a[i]|0x20 != b[i]|0x20 {
			return false
		}
	}
	return true
}

// keptOf is why a trace is kept from its beginning; empty: only what fails or
// is slow of it.
func keptOf(c trace.SpanContext) string {
	switch why := c.TraceState().Get(report.StateKey); why {
	case report.Asked, report.Sampled:
		return why
	}
	return ""
}

// withKept is c that says it.
func withKept(c trace.SpanContext, kept string) trace.SpanContext {
	if kept == "" || keptOf(c) == kept {
		return c
	}
	state, err := c.TraceState().Insert(report.StateKey, kept)
	if err != nil {
		return c // our key and values are well formed
	}
	return c.WithTraceState(state)
}

// spanKey finds the span of the message in hand in a context.
type spanKey struct{}

// traceIn is what a message that is sent with ctx is part of; not valid when
// that is not traced.
func traceIn(ctx context.Context) trace.SpanContext {
	if c, ok := ctx.(*handleContext); ok {
		if c.span == nil {
			return trace.SpanContext{}
		}
		return c.span.self
	}
	here := trace.SpanContextFromContext(ctx)
	own, _ := ctx.Value(spanKey{}).(*span)
	switch {
	case !here.IsValid():
		if own == nil {
			return here
		}
		return own.self
	case !here.IsSampled():
		return trace.SpanContext{}
	case own != nil && own.self.TraceID() == here.TraceID():
		return withKept(here, own.kept)
	}
	return here
}

func newSpanID() (id trace.SpanID) {
	binary.NativeEndian.PutUint64(id[:], rand.Uint64()|1) // zero is none
	return id
}

func newTraceID() (id trace.TraceID) {
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64()|1)
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return id
}
