package api

import (
	"net/url"
	"strconv"
	"time"
)

// MaxSchedules is how many schedules one answer lists at most.
const MaxSchedules = 1000

// NewSchedule is the body of POST /v1/schedules: a message and when it is sent. Exactly one of Cron, Every, At and In
// says that.
type NewSchedule struct {
	ID   string   `json:"id" doc:"Names the schedule" example:"nightly-report"`
	From string   `json:"from" doc:"The worker along whose route it goes" example:"entry"`
	Type string   `json:"type" doc:"Type of the message" example:"report"`
	Args []string `json:"args,omitempty" nullable:"false" doc:"Arguments of the message"`

	Cron     string `json:"cron,omitempty" doc:"Again and again: five fields as cron has them, six with the seconds first, or a name such as @daily" example:"0 8 * * 1-5"`
	TimeZone string `json:"tz,omitempty" doc:"Time zone of cron; UTC if it is left out" example:"Europe/Berlin"`
	Every    string `json:"every,omitempty" doc:"Again and again after this duration, in whole seconds" example:"5m"`
	At       string `json:"at,omitempty" doc:"Once at this moment, in RFC 3339" example:"2026-01-02T15:04:05Z"`
	In       string `json:"in,omitempty" doc:"Once after this duration" example:"10m"`
}

// Schedule is a message that is sent later: from the operator by POST /v1/schedules, or delayed by a program.
type Schedule struct {
	// Sequence is its place in the list.
	Sequence uint64 `json:"sequence" doc:"Its place in the list"`
	// ID is for DELETE. A delayed message without one has one made up.
	ID   string `json:"id" doc:"Names the schedule; made up for a delayed message that was given none" example:"nightly-report"`
	From string `json:"from" doc:"The worker along whose route it goes" example:"entry"`
	Type string `json:"type" doc:"Type of the message" example:"report"`
	// Message is nil when the payload is none that JSON can carry.
	Message []string `json:"message" nullable:"true" doc:"The message; null when it is not UTF-8"`
	// Text is there when Message is not and the payload is something to read.
	Text string `json:"text,omitempty" doc:"Where message is null and the payload is printable text: its beginning"`
	Size int    `json:"size" doc:"Size of the payload in bytes"`
	// Asked is how it was asked for.
	Asked string `json:"asked" doc:"How it was asked for: cron, every, at, in or delay, and a value" example:"every 5m0s"`
	// Next is nil when it is due already.
	Next *time.Time `json:"next,omitempty" doc:"When it is due next; absent when it is due already"`
	// Due says that it came due and was not moved on yet.
	Due bool `json:"due" doc:"It came due, and is not moved on yet"`
	// Last is when it came due the last time.
	Last *time.Time `json:"last,omitempty" doc:"When it came due the last time, as far as that is known"`
	// Error of the last time.
	Error   string    `json:"error,omitempty" doc:"Why it could not be moved on the last time"`
	Created time.Time `json:"created" doc:"When it was stored, by the broker's clock"`
}

// ScheduleList is GET /v1/schedules.
type ScheduleList struct {
	Schedules []Schedule `json:"schedules" nullable:"false" doc:"The schedules, oldest first"`
	Next      uint64     `json:"next,omitempty" doc:"Go on with after set to this; absent at the end. There may be none after it"`
	Total     uint64     `json:"total" doc:"How many there are in all"`
}

// ScheduleFilter says which part of the list is meant. The zero value is the first one.
type ScheduleFilter struct {
	Limit int    // of one answer; 0: the proxy's default
	After uint64 // only schedules with a higher sequence
}

func (f ScheduleFilter) query() url.Values {
	q := url.Values{}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.After > 0 {
		q.Set("after", strconv.FormatUint(f.After, 10))
	}
	return q
}
