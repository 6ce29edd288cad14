package bench

import (
	"context"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go/jetstream"
)

// traceShare of the lines is to be traced and kept in the traced rows, as [damrey.WithTraceSampling] does it: of as many lines as
// a row sends it is less, since an instance begins to trace no more than fifty in a second.
const traceShare = 0.01

// openTraced compares a source whose lines are not traced with one that traces some, over the same workers.
func openTraced(hops int, work func(*site, *damrey.Instance, *arrivals) measure) func(*site) (raw, ours measure, err error) {
	return func(s *site) (raw, ours measure, err error) {
		a := newArrivals()
		if err := s.tracedLine(hops, a); err != nil {
			return nil, nil, err
		}
		plain, err := s.instance(s.broker.ClientURL(), "src", nil)
		if err != nil {
			return nil, nil, err
		}
		traced, err := s.instance(s.broker.ClientURL(), "traced", nil, damrey.WithTraceSampling(traceShare))
		if err != nil {
			return nil, nil, err
		}
		return work(s, plain, a), work(s, traced, a), nil
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

func tracedRequests(_ *site, w *damrey.Instance, _ *arrivals) measure {
	return calls(64, func() error {
		_, err := w.Request(context.Background(), message[1], message[2], message[3])
		return err
	})
}

func tracedSends(_ *site, w *damrey.Instance, a *arrivals) measure {
	ctx := context.Background()
	return func(n int) (float64, error) {
		return a.throughput(n,
			func() error { return w.Send(ctx, message[1], message[2], message[3]) },
			func() error { return w.Flush(ctx) })
	}
}
