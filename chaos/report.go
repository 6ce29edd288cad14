package chaos

import (
	"fmt"
	"time"
)

// Report is what a run found.
type Report struct {
	Seed uint64 `json:"seed"`
	// Seconds for which faults were made.
	Seconds float64 `json:"seconds"`
	// Sent are the durable messages; Stored those whose Send returned nil, Unknown those of which it returned an error.
	Sent    int `json:"sent"`
	Stored  int `json:"stored"`
	Unknown int `json:"unknown"`
	// Processed reached the end of the line.
	Processed int `json:"processed"`
	// Doubled were stored more than once.
	Doubled int `json:"doubled"`
	// Dead are in the dead letters.
	Dead int `json:"dead"`
	// Lost were stored, and neither processed nor dead.
	Lost int `json:"lost"`
	// Retried are executions after one that failed, as some do on purpose.
	Retried int `json:"retried"`
	// Repeated are executions of a stored message after its first; Unexplained those that no fault explains. StoredAgain are
	// of them, stored anew under the id that they had: JetStream forgets one when its message is done and the server restarts.
	Repeated    int `json:"repeated"`
	StoredAgain int `json:"stored_again"`
	Unexplained int `json:"unexplained"`
	// OutOfOrder began before the one before them of their key had ended.
	OutOfOrder int `json:"out_of_order"`
	// DuplicatesSuppressed were sent again under an id that was stored, and not stored again.
	DuplicatesSuppressed int `json:"duplicates_suppressed"`
	// AckedWithoutMajority were acknowledged while two of three nodes were down.
	AckedWithoutMajority int `json:"acked_without_majority"`
	// Requests of the library, and of clients without it; Answers to them by kind.
	Requests      int            `json:"requests"`
	PlainRequests int            `json:"plain_requests"`
	Answers       map[string]int `json:"answers"`
	// Unanswered got no answer by their deadline, AnsweredTwice more than one.
	Unanswered    int `json:"unanswered"`
	AnsweredTwice int `json:"answered_twice"`
	// Excluded are those of clients whose own connection broke.
	Excluded int `json:"excluded"`
	// TimedOut are those of clients without the library that met a fault, and whose own time-out ended them.
	TimedOut int `json:"timed_out"`
	// RouteChanges were stored, RefusedChanges not.
	RouteChanges   int `json:"route_changes"`
	RefusedChanges int `json:"refused_changes"`
	// WorstStallMS is the longest time in which nothing reached the end of the line.
	WorstStallMS int64 `json:"worst_stall_ms"`
	// Faults in their order.
	Faults []Fault `json:"faults"`
	// Problems say what is wrong, and name ids.
	Problems []string `json:"problems"`
	// Directory of journals, logs and data, which is kept when there are problems.
	Directory string `json:"directory,omitempty"`
}

// Fault that was made.
type Fault struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	// AtMS is since the start of the traffic. ForMS is until it was healed, and after one at a node until all copies of all
	// streams were current again.
	AtMS  int64 `json:"at_ms"`
	ForMS int64 `json:"for_ms"`
	// StallMS is the longest time without an end of the line, until 10 s after it.
	StallMS int64 `json:"stall_ms"`
}

// Err is nil when nothing is wrong.
func (r Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("chaos: %d problems with seed %d, the first: %s", len(r.Problems), r.Seed, r.Problems[0])
}

// accuse enters something wrong.
func (r *Report) accuse(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// accuseAll enters what is wrong of one sort.
func (r *Report) accuseAll(what string, ids []string) {
	for _, id := range ids {
		r.accuse("%s: %s", what, id)
	}
}

func milliseconds(d time.Duration) int64 { return d.Milliseconds() }
