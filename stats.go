package damrey

import "sync/atomic"

// Stats is a snapshot of what an instance or a bridge has counted since it was
// made. Counts are messages, unless said otherwise.
type Stats struct {
	Received  uint64 `json:"received"`  // came in for this worker
	Handled   uint64 `json:"handled"`   // a handler returned
	Failed    uint64 `json:"failed"`    // a handler returned an error or panicked
	Answered  uint64 `json:"answered"`  // answers that left
	Forwarded uint64 `json:"forwarded"` // outputs of handlers that went on along a route
	Requests  uint64 `json:"requests"`  // requests that this side began
	Sends     uint64 `json:"sends"`     // sends that this side began
	Retried   uint64 `json:"retried"`   // attempts to push after the first

	Stored       uint64 `json:"stored"`       // messages of durable routes that the broker acknowledged to this side
	Deduplicated uint64 `json:"deduplicated"` // of them, those that were stored before under the same id
	Jobs         uint64 `json:"jobs"`         // stored messages that came in for this worker
	Redelivered  uint64 `json:"redelivered"`  // of them, those that had been handed out before
	Postponed    uint64 `json:"postponed"`    // failed, and come again later
	HandedBack   uint64 `json:"handed_back"`  // not started, and given to another instance
	Dead         uint64 `json:"dead"`         // went to the dead letters

	Undelivered uint64 `json:"undelivered"` // sends that nobody took after all attempts
	Unconfirmed uint64 `json:"unconfirmed"` // pushed right before the connection was lost: fate unknown
	Busy        uint64 `json:"busy"`        // came in when the queue was full
	Paused      uint64 `json:"paused"`      // refused while the route or the worker was paused
	Expired     uint64 `json:"expired"`     // came in with no budget left, not started
	Malformed   uint64 `json:"malformed"`   // could not be read
	Refused     uint64 `json:"refused"`     // dropped: the reply subject is no inbox
	Looped      uint64 `json:"looped"`      // ended after 64 hops
	Late        uint64 `json:"late"`        // answers that came after the end of their request, or twice
	Unasked     uint64 `json:"unasked"`     // came to the inbox though nothing was asked
	StreamAcks  uint64 `json:"stream_acks"` // acknowledgements of a stream laid over the fabric's subjects, dropped
	Abandoned   uint64 `json:"abandoned"`   // answers that nobody read from Rch
	Stopped     uint64 `json:"stopped"`     // not finished when the instance stopped

	SpansLeftOut uint64 `json:"spans_left_out"` // of traces, not kept: over what is kept in a second of what failed or was slow, or no room

	InFlight int `json:"in_flight"` // being handled now
	Queued   int `json:"queued"`    // waiting for room in mpu now
	Waiting  int `json:"waiting"`   // requests under way now
}

// counters are the live counts behind Stats. They only grow.
type counters struct {
	received, handled, failed, answered, forwarded, requests, sends, retried    atomic.Uint64
	undelivered, unconfirmed, busy, paused, expired, malformed, refused, looped atomic.Uint64
	late, unasked, streamAcks, abandoned, stopped                               atomic.Uint64
	stored, deduplicated, jobs, redelivered, postponed, handedBack, dead        atomic.Uint64
	spansLeftOut                                                                atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Received: c.received.Load(), Handled: c.handled.Load(), Failed: c.failed.Load(),
		Answered: c.answered.Load(), Forwarded: c.forwarded.Load(),
		Requests: c.requests.Load(), Sends: c.sends.Load(), Retried: c.retried.Load(),
		Undelivered: c.undelivered.Load(), Unconfirmed: c.unconfirmed.Load(),
		Busy: c.busy.Load(), Paused: c.paused.Load(), Expired: c.expired.Load(), Malformed: c.malformed.Load(),
		Refused: c.refused.Load(), Looped: c.looped.Load(), Late: c.late.Load(),
		Unasked: c.unasked.Load(), StreamAcks: c.streamAcks.Load(),
		Stored: c.stored.Load(), Deduplicated: c.deduplicated.Load(),
		Jobs: c.jobs.Load(), Redelivered: c.redelivered.Load(), Postponed: c.postponed.Load(),
		HandedBack: c.handedBack.Load(), Dead: c.dead.Load(),
		Abandoned: c.abandoned.Load(), Stopped: c.stopped.Load(),
		SpansLeftOut: c.spansLeftOut.Load(),
	}
}
