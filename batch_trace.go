package damrey

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	// headerTraces has a value for each message of a batch that is traced: its
	// place in the payload, its traceparent and its tracestate, a space between.
	// One traceparent would be of one message.
	headerTraces = "Damrey-Traces"
	// maxTraces is how many values are read of it.
	maxTraces = 256
)

// tracedSend is a message of a batch that is traced.
type tracedSend struct {
	place  int
	header nats.Header
}

// roomForTrace says that a batch with so many traced messages takes another.
func roomForTrace(traced int, maxPayload int64) bool {
	return traced < maxTraces && (maxPayload <= 0 || int64(traced+1)*traceRoom <= maxPayload/2)
}

// batched gives a batch the headers of its traced messages, and begins the span
// of publishing it: below that of the first of them, linked to those of the
// others. Nil when none is traced, or there is one message only, which has its
// own.
func (t *tracer) batched(p *push) *span {
	switch {
	case len(p.traced) == 0:
		return nil
	case p.count == 1:
		p.header, p.traced = p.traced[0].header, nil
		return nil
	}
	values := make([]string, 0, len(p.traced))
	var first trace.SpanContext
	var others []trace.SpanContext
	for _, one := range p.traced {
		values = append(values, formatTraced(one))
		switch in := traceOf(one.header, time.Time{}); {
		case in == nil: // it could be written, and so read
		case !first.IsValid():
			first = in.parent
		default:
			others = append(others, in.parent)
		}
	}
	p.header, p.traced = nats.Header{headerTraces: values}, nil
	return t.beginLinked(context.Background(), first, others, report.KindBatch, legOf(p.route, p.hops), time.Now(), keptOf(first))
}

func formatTraced(one tracedSend) string {
	text := strconv.Itoa(one.place) + " " + carrier(one.header).Get("traceparent")
	if state := carrier(one.header).Get("tracestate"); state != "" {
		text += " " + state
	}
	return text
}

// tracesOf are the traced messages of a batch, by their place; nil when none is.
func tracesOf(h nats.Header, at time.Time) map[int]*incoming {
	values := h[headerTraces]
	if len(values) == 0 {
		return nil
	}
	all := make(map[int]*incoming, len(values))
	for _, value := range values[:min(len(values), maxTraces)] {
		place, rest, _ := strings.Cut(value, " ")
		parent, state, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(place)
		if err != nil {
			continue
		}
		context := propagation.MapCarrier{"traceparent": parent, "tracestate": state}
		if in := tracedBy(context, at); in != nil {
			all[n] = in
		}
	}
	return all
}
