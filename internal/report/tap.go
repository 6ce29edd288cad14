package report

import "time"

// Copy is a message as the instance that handled it saw it; it goes to the inbox of a lease.
type Copy struct {
	At       time.Time `json:"at" doc:"When it was received, by that machine's clock"`
	From     string    `json:"from" doc:"Worker that sent it"`
	Type     string    `json:"type" doc:"Its type"`
	To       string    `json:"to" doc:"Worker that handled it"`
	Instance string    `json:"instance" doc:"Which instance of it"`
	Hop      int       `json:"hop" doc:"How many routes it went along before"`
	// Args are left out when they were not asked for. What is not UTF-8 is replaced.
	Args    []string `json:"args,omitempty" doc:"Its arguments, each shortened to 1,000 characters; left out unless asked for"`
	Outcome string   `json:"outcome" enum:"response,error,forward,none,timeout,busy" doc:"What became of it"`
	Error   string   `json:"error,omitempty" doc:"Text of the failure"`
	Wait    float64  `json:"wait_ms" doc:"How long it waited before the handler, in milliseconds"`
	Work    float64  `json:"work_ms" doc:"How long the handler took, in milliseconds"`
	// Skipped is how many this instance left out before this one, because of the rate.
	Skipped uint64 `json:"skipped,omitempty" doc:"How many were left out before it because of the rate"`
}

// Lease is what asks instances for copies, on <prefix>.tap; it holds for ten seconds and is sent again every three.
type Lease struct {
	ID     string  `json:"id"`
	From   string  `json:"from,omitempty"`   // empty: any
	Type   string  `json:"type,omitempty"`   // empty: any
	To     string  `json:"to,omitempty"`     // empty: any
	Sample float64 `json:"sample,omitempty"` // 0 or 1: all
	Rate   int     `json:"rate"`             // copies in a second of one instance at most
	Args   bool    `json:"args,omitempty"`   // whether the arguments are wanted
	Inbox  string  `json:"inbox"`            // where the copies go
}

// TapSubject is where leases are sent.
func TapSubject(prefix string) string { return prefix + ".tap" }

// LeaseTime is how long a lease holds, and LeaseAgain how often it is sent again.
const (
	LeaseTime  = 10 * time.Second
	LeaseAgain = 3 * time.Second
)
