package api

import (
	"time"

	"github.com/damrey/damrey/internal/report"
)

// TraceList is GET /v1/traces.
type TraceList struct {
	Traces []TraceHead `json:"traces" nullable:"false" doc:"The newest first"`
	// LookedSince is when the oldest span was published that was looked at; zero: there are no older ones.
	LookedSince time.Time `json:"looked_since,omitzero" doc:"Older spans were not looked at; left out when there are none"`
}

// TraceHead is one trace without its spans.
type TraceHead struct {
	ID       string    `json:"id" doc:"Trace id, 32 hexadecimal digits"`
	Begin    time.Time `json:"begin" doc:"When it began"`
	Duration float64   `json:"duration_ms" doc:"How long it took, in milliseconds"`
	Route    string    `json:"route" doc:"The first route, from→type→to"`
	Outcome  string    `json:"outcome" enum:"ok,error,timeout,stop" doc:"How it ended"`
	Running  bool      `json:"running,omitempty" doc:"Whether its last span came within the last seconds, and no handler has told yet of one of its messages: outcome, duration and spans are those of until now"`
	Spans    int       `json:"spans" doc:"How many spans it has"`
	// Kept is why it was kept.
	Kept string `json:"kept" enum:"asked,sampled,failed,slow" doc:"Why it was kept"`
}

// Trace is GET /v1/traces/{id}.
type Trace struct {
	TraceHead
	Path []PathSpan `json:"path" nullable:"false" doc:"Its spans, each behind its parent, those of one parent by their begin"`
	// Slowest is the span to look at first.
	Slowest string `json:"slowest,omitempty" doc:"Id of the span with the largest own time, the first of several; of a TIMEOUT, of the one in which the time ran out. Left out when none took any, and while the trace is running"`
	// Unfinished is where to look for what is missing.
	Unfinished []string `json:"unfinished,omitempty" doc:"Routes, from→type→to, of messages of which no handler has told yet; programs without the library never do"`
}

// PathSpan is a span among the others of its trace.
type PathSpan struct {
	Span
	Own float64 `json:"own_ms" doc:"How much of its duration no span below it takes up: its own work, or the way; in milliseconds"`
}

// Span is one part of a trace.
type Span = report.Span
