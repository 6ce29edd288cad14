package api

import (
	"net/url"
	"strconv"
	"time"
)

// MaxDead is how many dead letters one answer lists at most.
const MaxDead = 1000

// DeadLetter is a message of a durable route that failed too often.
type DeadLetter struct {
	// Sequence names the letter.
	Sequence uint64 `json:"sequence" doc:"Number of the letter in the stream of dead letters; it never changes" example:"7"`
	// Worker, Type and From are the route that it came along.
	Worker string `json:"worker" doc:"The worker that it was for" example:"square"`
	Type   string `json:"type" doc:"Type of the message" example:"square"`
	From   string `json:"from" doc:"The worker that sent it" example:"add"`
	// ID is what the message was stored under before.
	ID string `json:"id" doc:"Id of the message before it was a dead letter"`
	// Error of the last attempt.
	Error string `json:"error" doc:"What went wrong the last time"`
	// Failures are the attempts that failed.
	Failures int `json:"failures" doc:"How many attempts failed" example:"5"`
	// Delivered is how often it was handed out, also to instances that died or gave it back.
	Delivered int `json:"delivered" doc:"How often it was handed out to an instance" example:"5"`
	// Instance that gave it up.
	Instance string `json:"instance" doc:"The instance that gave it up"`
	// Time is when the broker stored the letter.
	Time time.Time `json:"time" doc:"When it became a dead letter, by the broker's clock"`
	// Edited is zero when nobody changed the message.
	Edited time.Time `json:"edited,omitzero" doc:"When the message was changed by hand; absent when it never was"`
	// Size of the payload in bytes.
	Size int `json:"size" doc:"Size of the payload in bytes"`
	// Message is nil when the payload is no message, or none that JSON can carry.
	Message []string `json:"message" nullable:"true" doc:"The message; null when the payload is none, or not UTF-8"`
	// Text is there when Message is not and the payload is something to read.
	Text string `json:"text,omitempty" doc:"Where message is null and the payload is printable text: its beginning"`
}

// Route is how a route is written everywhere.
func (l DeadLetter) Route() string { return l.From + "→" + l.Type + "→" + l.Worker }

// DeadDetail is GET /v1/dead/{sequence}.
type DeadDetail struct {
	DeadLetter
	// Path are the routes before that one.
	Path []string `json:"path,omitempty" doc:"The routes behind it, the first first, as far as they are known; absent for none" example:"[\"entry→add→add\"]"`
	// Headers as they were stored.
	Headers map[string][]string `json:"headers" nullable:"false" doc:"All headers of the letter"`
	// Payload is there when Message is not.
	Payload []byte `json:"payload,omitempty" doc:"The payload in base64, when message is null"`
}

// DeadList is GET /v1/dead.
type DeadList struct {
	// Letters, oldest first.
	Letters []DeadLetter `json:"letters" nullable:"false" doc:"The letters that match, oldest first"`
	// Next is 0 at the end of the stream.
	Next uint64 `json:"next,omitempty" doc:"Go on with after set to this; absent at the end. There may be none after it"`
	// Total in the stream, whether they match or not.
	Total uint64 `json:"total" doc:"How many dead letters there are in all"`
}

// Retried is the answer to POST /v1/dead/{sequence}/retry.
type Retried struct {
	Sequence uint64 `json:"sequence" doc:"The letter, which is gone now"`
	// Route that it was sent along, which is today's.
	Route string `json:"route" doc:"The route that it was sent along, as from→type→to" example:"add→square→square"`
	// Delivery is durable or direct.
	Delivery string `json:"delivery" enum:"durable,direct" doc:"durable: it is stored; direct: an instance took it"`
}

// DeadEdit is the body of PATCH /v1/dead/{sequence}. What is absent stays.
type DeadEdit struct {
	// Type is empty when it stays.
	Type string `json:"type,omitempty" doc:"The message's new type" example:"square"`
	// Args is nil when they stay.
	Args *[]string `json:"args,omitempty" doc:"The message's new arguments, all of them"`
}

// DeadEdited is the answer to PATCH /v1/dead/{sequence}.
type DeadEdited struct {
	Sequence uint64 `json:"sequence" doc:"The letter as it is now" example:"12"`
	Was      uint64 `json:"was" doc:"The letter before, which is gone" example:"7"`
}

// DeadFilter says which dead letters are meant. The zero value means all of them.
type DeadFilter struct {
	Worker, Type, From string
	Error              string    // a part of the error's text
	Since, Until       time.Time // zero: from the first, to the last
	Limit              int       // of one answer; 0: the proxy's default
	After              uint64    // only letters with a higher sequence
}

func (f DeadFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"worker": f.Worker, "type": f.Type, "from": f.From, "error": f.Error} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, moment := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !moment.IsZero() {
			q.Set(name, moment.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.After > 0 {
		q.Set("after", strconv.FormatUint(f.After, 10))
	}
	return q
}
