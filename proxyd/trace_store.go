package proxyd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/report"
)

const (
	traceSpans = 20_000 // that are looked through for a list
	traceChunk = 1000   // that are fetched at once
)

// traceStore reads the stream into which instances publish the spans of traces that are kept.
type traceStore struct{ store *store }

// traceFilter says which traces are listed.
type traceFilter struct {
	route   func(api.Span) bool
	outcome string
	since   time.Time
	limit   int
}

// list puts the last traces together, the newest first.
func (s *traceStore) list(ctx context.Context, f traceFilter) (api.TraceList, error) {
	list := api.TraceList{Traces: []api.TraceHead{}}
	spans, last := make(map[string][]api.Span), make(map[string]time.Time)
	err := s.use(ctx, func(ctx context.Context, stream jetstream.Stream) error {
		state := stream.CachedInfo().State
		from := state.FirstSeq
		if state.LastSeq >= traceSpans {
			from = max(from, state.LastSeq-traceSpans+1)
		}
		cfg := jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(1, from)}
		return s.read(ctx, stream, cfg, func(id string, span api.Span, at time.Time) {
			if from > state.FirstSeq && list.LookedSince.IsZero() {
				list.LookedSince = at.UTC()
			}
			spans[id], last[id] = append(spans[id], span), at
		})
	})
	if err != nil {
		return list, err
	}
	for id, all := range spans {
		if head := api.NewTraceHead(id, all, time.Since(last[id])); f.takes(head, all) {
			list.Traces = append(list.Traces, head)
		}
	}
	slices.SortFunc(list.Traces, func(a, b api.TraceHead) int {
		if c := b.Begin.Compare(a.Begin); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	list.Traces = list.Traces[:min(len(list.Traces), f.limit)]
	return list, nil
}

func (f traceFilter) takes(t api.TraceHead, spans []api.Span) bool {
	return (f.outcome == "" || t.Outcome == f.outcome) && !t.Begin.Before(f.since) && slices.ContainsFunc(spans, f.route)
}

// get puts one trace together.
func (s *traceStore) get(ctx context.Context, id string) (api.Trace, error) {
	var spans []api.Span
	var last time.Time
	err := s.use(ctx, func(ctx context.Context, stream jetstream.Stream) error {
		cfg := jetstream.ConsumerConfig{FilterSubject: report.TraceSubject(s.store.prefix, id)}
		return s.read(ctx, stream, cfg, func(_ string, span api.Span, at time.Time) { spans, last = append(spans, span), at })
	})
	if err != nil {
		return api.Trace{}, err
	}
	if len(spans) == 0 {
		return api.Trace{}, problem(http.StatusNotFound, "there is no trace %s (any more); `damrey trace ls` shows those that are there", id)
	}
	return api.NewTrace(id, spans, time.Since(last)), nil
}

// use calls f with the stream. Where there is none there are no traces, and it is made again.
func (s *traceStore) use(ctx context.Context, f func(context.Context, jetstream.Stream) error) error {
	ctx, cancel, err := s.store.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	stream, err := s.store.js.Stream(ctx, bucket.TracesStream(s.store.prefix))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		s.store.log.Warn().Str("stream", bucket.TracesStream(s.store.prefix)).Msg("the stream of traces is missing and is made again")
		err = bucket.EnsureTraces(ctx, s.store.js, s.store.prefix)
	case err == nil:
		err = f(ctx, stream)
	}
	return away(err)
}

// read takes all spans that a consumer gives. What is no span was written by somebody else, and is passed over.
func (s *traceStore) read(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig, take func(id string, span api.Span, at time.Time)) error {
	cfg.AckPolicy, cfg.MemoryStorage, cfg.Replicas, cfg.InactiveThreshold = jetstream.AckNonePolicy, true, 1, 10*time.Second
	consumer, err := stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	defer func() { _ = stream.DeleteConsumer(ctx, info.Name) }() // else it goes by itself once inactive
	for left := info.NumPending; left > 0; {
		messages, err := fetchNow(ctx, consumer, int(min(left, traceChunk)))
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			return nil // the rest was forgotten meanwhile
		}
		for _, m := range messages {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			left = meta.NumPending
			id := strings.TrimPrefix(m.Subject(), report.TraceSubject(s.store.prefix, ""))
			if span, err := report.ParseSpan(m.Data()); err == nil && traceID.MatchString(id) {
				take(id, span, meta.Timestamp)
			}
		}
	}
	return nil
}

// routeFilter reads from→type→to, where * is any, or a worker's name.
func routeFilter(text string) (func(api.Span) bool, error) {
	if text == "" {
		return func(api.Span) bool { return true }, nil
	}
	parts := splitRoute(text)
	if len(parts) != 1 && len(parts) != 3 || slices.Contains(parts, "") {
		return nil, fmt.Errorf("%q is neither from→type→to or from.type.to, with * for any, nor a worker", shorten(text))
	}
	for _, part := range parts {
		if part == "*" {
			continue
		}
		if err := damrey.CheckName(part); err != nil {
			return nil, err
		}
	}
	is := func(part, name string) bool { return part == "*" || part == name }
	if len(parts) == 1 {
		return func(s api.Span) bool { return is(text, s.From) || is(text, s.To) }, nil
	}
	return func(s api.Span) bool { return is(parts[0], s.From) && is(parts[1], s.Type) && is(parts[2], s.To) }, nil
}
