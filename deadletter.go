package damrey

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// What a dead letter says in headers, beside those of the message.
const (
	HeaderDeadError    = "Damrey-Error"     // the last one
	HeaderDeadFailures = "Damrey-Failures"  // attempts that failed
	HeaderDeadInstance = "Damrey-Instance"  // that gave it up
	HeaderDeadWorker   = "Damrey-Worker"    // of that instance
	HeaderDeadTime     = "Damrey-Time"      // RFC 3339
	HeaderDeadSequence = "Damrey-Sequence"  // in the worker's stream of jobs
	HeaderDeadHandouts = "Damrey-Delivered" // how often it was handed out
	HeaderOriginalID   = "Damrey-ID"        // the application's, or under which it was stored first
	HeaderDeadEdited   = "Damrey-Edited"    // RFC 3339; when somebody changed the message
	HeaderDeadReplaces = "Damrey-Replaces"  // the letter's sequence before that
)

// Burial is what is known of a stored message that goes to the dead letters.
type Burial struct {
	Worker, Type, From string // its route
	ID                 string // under which it was stored
	Sequence           uint64 // in the worker's stream
	Stored             time.Time
	Handouts           uint64
	Failures           int
	Why                string
	Instance           string // that gives it up; of a proxy its address
	MaxPayload         int64  // of the broker; 0: it is not known
}

// letterRoom is what the sender of a message that is to be stored leaves free
// below max_payload, for what a dead letter says beside it.
const letterRoom = 4 << 10

// mostStored is how large a message that is to be stored may be, with its headers,
// so that it can become a dead letter. 0 stands for what is not known.
func mostStored(maxPayload int64) int {
	return max(0, int(maxPayload-min(letterRoom, maxPayload/4)))
}

// Letter is a stored message as a dead letter. Whoever writes it, it has one
// id, so that it is there once. A stream that is made anew counts from 1 again:
// the time tells its messages from those before.
func (b Burial) Letter(prefix string, header nats.Header, payload []byte) *nats.Msg {
	m := &nats.Msg{Subject: DeadSubject(prefix, b.Worker, b.Type, b.From), Data: payload, Header: nats.Header{}}
	for name, values := range header {
		// What was asked of JetStream then would be asked again.
		if !strings.HasPrefix(name, "Nats-") {
			m.Header[name] = values
		}
	}
	for name, value := range map[string]string{
		HeaderID:           fmt.Sprintf("dead.%s.%d.%x.%s", b.Worker, b.Sequence, b.Stored.UnixNano(), b.ID),
		HeaderOriginalID:   b.ID,
		HeaderDeadError:    headerText(b.Why),
		HeaderDeadFailures: strconv.Itoa(b.Failures),
		HeaderDeadHandouts: strconv.FormatUint(b.Handouts, 10),
		HeaderDeadInstance: b.Instance,
		HeaderDeadWorker:   b.Worker,
		HeaderDeadSequence: strconv.FormatUint(b.Sequence, 10),
		HeaderDeadTime:     time.Now().UTC().Format(time.RFC3339Nano),
	} {
		m.Header.Set(name, value)
	}
	fitLetter(m, b.MaxPayload)
	return m
}

// leastError is what is kept of a dead letter's error as long as anything else
// can go, in bytes.
const leastError = 80

// fitLetter takes from what a letter says until the broker takes it: the message
// itself stays whole. Senders leave room for all of it, but what was stored by
// hand or by another version may be as large as it gets.
func fitLetter(m *nats.Msg, limit int64) {
	over := func() int {
		if limit <= 0 {
			return 0
		}
		return max(0, len(m.Data)+headerSize(m.Header)-int(limit))
	}
	if why := m.Header.Get(HeaderDeadError); over() > 0 && len(why) > leastError {
		m.Header.Set(HeaderDeadError, clipTo(why, max(leastError, len(why)-over()-len("…"))))
	}
	// The last routes are the ones to know.
	for path := m.Header.Get(HeaderPath); over() > 0 && path != ""; {
		_, path, _ = strings.Cut(path, " ")
		m.Header.Set(HeaderPath, path)
	}
	names := make([]string, 0, len(m.Header))
	for name := range m.Header {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(dearest[a], dearest[b]), cmp.Compare(len(m.Header.Get(b)), len(m.Header.Get(a))), cmp.Compare(a, b))
	})
	for _, name := range names {
		n := over()
		if n == 0 {
			return
		}
		if left := len(m.Header.Get(name)) - n - len("…"); name == HeaderDeadError && left > 0 {
			m.Header.Set(name, clipTo(m.Header.Get(name), left))
			return
		}
		delete(m.Header, name)
	}
}

// dearest are the headers of a letter that go last.
var dearest = map[string]int{HeaderDeadError: 1, HeaderLineage: 2, HeaderOriginalID: 3, HeaderID: 4}

// headerSize is what headers take of a message, as max_payload counts it.
func headerSize(h nats.Header) int {
	if len(h) == 0 {
		return 0
	}
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(": \r\n") + len(value)
		}
	}
	return size
}

// HeaderNumber reads a count that a dead letter carries: 0 for what is none.
func HeaderNumber(h nats.Header, name string) int { return headerNumber(h, name, 0) }
