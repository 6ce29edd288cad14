package damrey

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Schedule is a message that is sent later, once or again and again, as it is
// stored until then. Where it goes is looked up only when it is due.
type Schedule struct {
	// ID names it to those who look at it or cancel it. Empty for a delayed
	// message that was given none.
	ID string
	// From and Type say which route it takes.
	From, Type string
	// Payload is the encoded message.
	Payload []byte
	// Pattern is when, as JetStream reads it: "@at" and a time, "@every" and a
	// duration, or the six fields of cron.
	Pattern string
	// TimeZone of a cron pattern; empty: UTC.
	TimeZone string
	// Asked is how it was asked for, such as "delay 10m0s". A second one of the
	// same ID is the same if this, the route and the payload are.
	Asked string
	// key is the last token of its subjects.
	key string
	// trace are the headers of a traced message.
	trace nats.Header
}

const (
	// HeaderAsked is [Schedule.Asked].
	HeaderAsked = "Damrey-Asked"
	// HeaderContent is a digest that tells a message from another under its id.
	HeaderContent = "Damrey-Content"
	// MaxLater is how far ahead a message may be sent.
	MaxLater = 366 * 24 * time.Hour
	// AtPattern begins the pattern of a message that is sent once.
	AtPattern = "@at "
	// EveryPattern begins the pattern of one that is sent again and again.
	EveryPattern = "@every "
)

// AtMoment is the pattern for one moment.
func AtMoment(t time.Time) string { return AtPattern + t.UTC().Format(time.RFC3339Nano) }

// CheckScheduleID says whether id may name a schedule: 1 to 256 bytes of UTF-8
// without control characters, and no space at either end.
func CheckScheduleID(id string) error {
	switch {
	case id == "":
		return errors.New("is empty; give it a name, such as nightly-report")
	case len(id) > maxID:
		return fmt.Errorf("%s: %d bytes, at most %d are taken", quoteClip(id), len(id), maxID)
	case !utf8.ValidString(id):
		return fmt.Errorf("%s: is no UTF-8", quoteClip(id))
	case id == "." || id == "..":
		return fmt.Errorf("%q: a URL cannot end with it; use another", id)
	case strings.TrimSpace(id) != id:
		return fmt.Errorf("%s: a space at its beginning or end would get lost; leave it out", quoteClip(id))
	}
	return controlFree(id)
}

func controlFree(id string) error {
	for i := range len(id) {
		if c := id[i]; c < ' ' || c == 0x7f {
			return fmt.Errorf("control character 0x%02x at position %d of the id is not allowed", c, i+1)
		}
	}
	return nil
}

// Key is the token that stands for the schedule in subjects: whatever an id
// holds, its digest is a token.
func (s Schedule) Key() string {
	if s.ID == "" {
		return s.key
	}
	return digest([]byte(s.ID))
}

// Name is its id, or its key when it was given none. Either cancels it.
func (s Schedule) Name() string {
	if s.ID == "" {
		return s.key
	}
	return s.ID
}

// Once says that it is not sent again and again.
func (s Schedule) Once() bool { return strings.HasPrefix(s.Pattern, AtPattern) }

// Content is the same for two schedules that ask for the same.
func (s Schedule) Content() string {
	return digest([]byte(s.From), []byte(s.Type), []byte(s.Asked), s.Payload)
}

// Message is the schedule as it is stored, unless there is one of its id.
// storeID is the same for every attempt to store it.
func (s Schedule) Message(prefix, storeID string) *nats.Msg {
	m := &nats.Msg{
		Subject: LaterSubject(prefix, s.Key()), Data: s.Payload,
		Header: nats.Header{
			jetstream.ScheduleHeader:            {s.Pattern},
			jetstream.ScheduleTargetHeader:      {DueSubject(prefix, s.Type, s.From, s.Key())},
			jetstream.ExpectedLastSubjSeqHeader: {"0"},
			HeaderID:                            {storeID},
			HeaderAsked:                         {s.Asked},
			HeaderContent:                       {s.Content()},
		},
	}
	if s.ID != "" {
		m.Header.Set(HeaderOriginalID, s.ID)
	}
	if s.TimeZone != "" {
		m.Header.Set(jetstream.ScheduleTimeZoneHeader, s.TimeZone)
	}
	maps.Copy(m.Header, s.trace)
	return m
}

// ReadSchedule reads what is stored: a schedule, or with an empty Pattern what
// came due of one. The error says what is wrong with the subject; what waits
// has its key even then.
func ReadSchedule(prefix, subject string, h nats.Header, payload []byte) (Schedule, error) {
	s := Schedule{
		ID: h.Get(HeaderOriginalID), Payload: payload, Pattern: h.Get(jetstream.ScheduleHeader),
		TimeZone: h.Get(jetstream.ScheduleTimeZoneHeader), Asked: h.Get(HeaderAsked), trace: traceHeaders(h),
	}
	if key, waits := strings.CutPrefix(subject, LaterSubject(prefix, "")); waits {
		s.key = key
	}
	due := subject
	if target := h.Get(jetstream.ScheduleTargetHeader); target != "" {
		due = target
	}
	rest, ok := strings.CutPrefix(due, prefix+".due.")
	names := strings.Split(rest, ".")
	if !ok || len(names) != 3 || CheckName(names[0]) != nil || CheckName(names[1]) != nil {
		return s, fmt.Errorf("subject %s is not %s", quoteClip(due), DueSubject(prefix, "<type>", "<from>", "<key>"))
	}
	s.Type, s.From, s.key = names[0], names[1], names[2]
	return s, nil
}

// Firing is what is known of the last time that a schedule came due, as JSON on
// [FiringSubject].
type Firing struct {
	// At is when it was moved on, or when that failed.
	At time.Time `json:"at"`
	// Next is when it is due again; zero for one that is sent once.
	Next time.Time `json:"next,omitzero"`
	// Error is why it could not be moved on; empty when it was.
	Error string `json:"error,omitempty"`
}
