package bench

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
)

// traceShare of the lines is traced and kept in the traced rows.
const traceShare = 0.01

// someTraced is the context of a message, which is traced as often as that. An instance that samples by itself, as with
// [damrey.WithTraceSampling], begins only 50 traces a second, which is nearly nothing of what a row sends.
func someTraced(ctx context.Context) context.Context {
	if rand.Float64() >= traceShare {
		return ctx
	}
	state, _ := trace.TraceState{}.Insert(report.StateKey, report.Sampled) // both are well formed
	first := trace.SpanContextConfig{TraceFlags: trace.FlagsSampled, TraceState: state}
	binary.NativeEndian.PutUint64(first.TraceID[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(first.TraceID[8:], rand.Uint64()|1) // zero is none
	copy(first.SpanID[:], first.TraceID[8:])
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(first))
}

func noneTraced(ctx context.Context) context.Context { return ctx }

// contextOf gives the context of the next message.
type contextOf func(context.Context) context.Context

// openTraced compares a source whose lines are not traced with one that traces some, over the same workers.
func openTraced(hops int, work func(*damrey.Instance, *arrivals, contextOf) measure) func(*site) (raw, ours measure, err error) {
	return func(s *site) (raw, ours measure, err error) {
		a := newArrivals()
		if err := s.tracedLine(hops, a); err != nil {
			return nil, nil, err
		}
		plain, err := s.instance(s.broker.ClientURL(), "src", nil)
		if err != nil {
			return nil, nil, err
		}
		traced, err := s.instance(s.broker.ClientURL(), "traced", nil)
		if err != nil {
			return nil, nil, err
		}
		return work(plain, a, noneTraced), work(traced, a, someTraced), nil
	}
}

// tracedLine serves so many hops behind the two sources, with the stream that keeps the spans.
func (s *site) tracedLine(hops int, a *arrivals) error {
	if err := s.traces(); err != nil {
		return err
	}
	names := []string{"a", "b", "c"}[:hops]
	first := command("ask", names[0])
	if err := s.register(damrey.Registration{Name: "src", Commands: first}, damrey.Registration{Name: "traced", Commands: first}); err != nil {
		return err
	}
	for i, name := range names {
		reg := damrey.Registration{Name: name}
		handle := func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { return in, nil }
		if i == hops-1 {
			handle = func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
				a.one()
				return damrey.Reply(in.Args()...), nil
			}
		} else {
			reg.Commands = command("ask", names[i+1])
		}
		if err := s.register(reg); err != nil {
			return err
		}
		if _, err := s.instance(s.broker.ClientURL(), name, handle); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) traces() error {
	nc, err := s.connect(s.broker.ClientURL())
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return bucket.EnsureTraces(ctx, js, damrey.DefaultPrefix)
}

func tracedRequests(w *damrey.Instance, _ *arrivals, next contextOf) measure {
	ctx := context.Background()
	return calls(64, func() error {
		_, err := w.Request(next(ctx), message[1], message[2], message[3])
		return err
	})
}

func tracedSends(w *damrey.Instance, a *arrivals, next contextOf) measure {
	ctx := context.Background()
	return func(n int) (float64, error) {
		return a.throughput(n,
			func() error { return w.Send(next(ctx), message[1], message[2], message[3]) },
			func() error { return w.Flush(ctx) })
	}
}
