package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Span is one part of a trace. Instances publish those that are kept on <prefix>.trace.<trace id>.
type Span struct {
	ID     string `json:"id" doc:"Span id, 16 hexadecimal digits"`
	Parent string `json:"parent,omitempty" doc:"Id of the span that it is part of"`
	// Kind is send, batch, wait, handle or forward.
	Kind     string    `json:"kind" enum:"send,batch,wait,handle,forward" doc:"What it is of"`
	From     string    `json:"from" doc:"Worker that sends"`
	Type     string    `json:"type" doc:"Type of the message"`
	To       string    `json:"to" doc:"Worker that it goes to"`
	Worker   string    `json:"worker" doc:"Worker that says so"`
	Instance string    `json:"instance" doc:"Its instance"`
	Hop      int       `json:"hop" doc:"How many routes it went along before"`
	Begin    time.Time `json:"begin" doc:"When it began, by that machine's clock"`
	Duration float64   `json:"duration_ms" doc:"How long it took, in milliseconds"`
	Outcome  string    `json:"outcome" doc:"ok, or what went wrong" example:"ok"`
	Error    string    `json:"error,omitempty" doc:"Text of the failure"`
	Kept     string    `json:"kept" enum:"asked,sampled,failed,slow" doc:"Why it was kept"`
	// Stored and Answered tell of a message that left what becomes of it.
	Stored   bool     `json:"stored,omitempty" doc:"Of a send or forward along a durable route: it waits at the broker until an instance takes it"`
	Answered bool     `json:"answered,omitempty" doc:"Of a send: it was a request, and its answer came"`
	Links    []string `json:"links,omitempty" doc:"Spans that it is not part of and has to do with; of another trace with its id and a dash before"`
}

// Why spans are kept. Asked and Sampled travel with the message, in the member StateKey of its tracestate.
const (
	Asked   = "asked"
	Sampled = "sampled"
	Failed  = "failed"
	Slow    = "slow"
	// StateKey is Damrey's member of a message's tracestate.
	StateKey = "damrey"
)

// Kinds of spans.
const (
	KindSend    = "send"    // from when a message is sent until it has left, or until a request is answered
	KindBatch   = "batch"   // of publishing several sends together, below that of the first traced one and linked to those of the others
	KindWait    = "wait"    // from when it was received, or stored, until its handler began
	KindHandle  = "handle"  // from then until its output had left
	KindForward = "forward" // until that output had left, along the route of the next hop
)

// Outcomes. What else stands there is the fabric's code of an ERROR, or "error".
const (
	OK      = "ok"
	Timeout = "timeout"
	Stop    = "stop"
	Error   = "error"
)

// TraceSubject is where the spans of one trace are published; "*" for any.
func TraceSubject(prefix, id string) string { return prefix + ".trace." + id }

// ParseSpan reads a span that came from somebody.
func ParseSpan(data []byte) (Span, error) {
	var s Span
	if len(data) > maxSpan {
		return s, fmt.Errorf("a span of %d bytes; at most %d are read", len(data), maxSpan)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("a span that cannot be read: %w", err)
	}
	if s.ID == "" || s.Duration < 0 || s.Begin.IsZero() {
		return s, errors.New("a span without id, begin or duration")
	}
	return s, nil
}

// FormatSpan is the opposite of [ParseSpan].
func FormatSpan(s Span) ([]byte, error) { return json.Marshal(s) }

const maxSpan = 16 << 10

// End is when it ended, by its machine's clock.
func (s Span) End() time.Time {
	return s.Begin.Add(time.Duration(s.Duration * float64(time.Millisecond)))
}

// Route is from→type→to.
func (s Span) Route() string { return s.From + "→" + s.Type + "→" + s.To }
