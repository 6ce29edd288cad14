// Package report is what instances, agents and proxies tell the fabric of themselves: beats with their counters and
// histograms every few seconds, copies of messages for who taps them, and the spans of traces.
package report

import "time"

const (
	// Every is the time between two beats, but for jitter. A change of state is told at once.
	Every = 5 * time.Second
	// Missed is how many beats may be missing until their sender counts as lost.
	Missed = 3
	// MaxRoutes is how many routes one beat tells apart each way; what more there are fall together into Other.
	MaxRoutes = 200
	// MaxSize is how many bytes of a beat are read.
	MaxSize = 256 << 10
	// Other stands for the names of all routes beyond MaxRoutes. No worker and no type can be called so.
	Other = "(other)"
)

// Names under which agents and proxies send beats.
const (
	AgentWorker = "damrey-agent"
	ProxyWorker = "damrey-proxy"
)

// State of an instance.
type State string

// The states. An agent or a proxy is ready or left.
const (
	Waiting  State = "waiting"  // not registered, or not connected so far that messages reach it
	Standby  State = "standby"  // registered for another agent
	Ready    State = "ready"    // messages reach it
	Draining State = "draining" // finishes what it has, and takes no more
	Left     State = "left"     // the last beat
)

// Beat is cumulative: every count is since Started, so that one that is lost loses nothing.
type Beat struct {
	Worker   string    `json:"worker"`
	Instance string    `json:"instance"`
	Version  string    `json:"version"`
	Host     string    `json:"host,omitempty"`
	Name     string    `json:"name,omitempty"`  // of an agent or a proxy's node
	URL      string    `json:"url,omitempty"`   // of a proxy
	Agent    string    `json:"agent,omitempty"` // the server it is connected to
	Program  string    `json:"program,omitempty"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	At       time.Time `json:"at"` // by its own clock
	State    State     `json:"state"`
	Stale    bool      `json:"stale,omitempty"` // its table may be out of date
	InFlight int       `json:"in_flight"`
	Queued   int       `json:"queued"`
	Capacity int       `json:"capacity,omitempty"` // mpu

	// In are the routes along which messages came in, Out those along which this worker sends.
	In  []In  `json:"in,omitempty"`
	Out []Out `json:"out,omitempty"`
	// Counts are the counters that belong to no route, by the names of damrey.Stats.
	Counts map[string]uint64 `json:"counts,omitempty"`
}

// In is what came along a route that ends here.
type In struct {
	From string `json:"from"`
	Type string `json:"type"`
	// Handled includes those that failed.
	Handled   uint64 `json:"handled"`
	Errors    uint64 `json:"errors,omitempty"`    // the handler failed, panicked or answered an ERROR
	Timeouts  uint64 `json:"timeouts,omitempty"`  // the budget was used up before or in the handler
	Busy      uint64 `json:"busy,omitempty"`      // refused, since the queue was full
	Malformed uint64 `json:"malformed,omitempty"` // could not be read
	InFlight  uint64 `json:"in_flight,omitempty"` // in handlers now; no counter
	// Wait and Work are sums in nanoseconds: from when the message was received until its handler began, and from then until
	// its output had left.
	Wait uint64 `json:"wait_ns"`
	Work uint64 `json:"work_ns"`
	// Stay is of both together.
	Stay Histogram `json:"stay"`
	// LastError is the text of the last failure, shortened. LastCode is the fabric's word for it, or "error"; LastAt is when it
	// was, by the instance's clock.
	LastError string    `json:"last_error,omitempty"`
	LastCode  string    `json:"last_error_code,omitempty"`
	LastAt    time.Time `json:"last_error_at,omitzero"`
}

// Out is what was sent along a route that begins here and did not come to a good end, and how much was sent.
type Out struct {
	// From is empty but in an agent's or a proxy's beat: the program without the library whose output it passed on.
	From        string `json:"from,omitempty"`
	Type        string `json:"type"`
	To          string `json:"to"`
	Sent        uint64 `json:"sent"`                  // requests, sends and forwards that were published
	Timeouts    uint64 `json:"timeouts,omitempty"`    // of requests begun here
	Stopped     uint64 `json:"stopped,omitempty"`     // of requests begun here: nobody took them
	Undelivered uint64 `json:"undelivered,omitempty"` // of sends
}

// Subject of the beats of one instance; "*" for any.
func Subject(prefix, worker, instance string) string {
	return prefix + ".beat." + worker + "." + instance
}
