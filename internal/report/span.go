package report

import "time"

// Span is one part of a trace. Instances publish those that are kept on <prefix>.trace.<trace id>.
type Span struct {
	ID     string `json:"id" doc:"Span id, 16 hexadecimal digits"`
	Parent string `json:"parent,omitempty" doc:"Id of the span that it is part of"`
	// Kind is send, wait, handle or forward.
	Kind     string    `json:"kind" enum:"send,wait,handle,forward" doc:"What it is of"`
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
}
