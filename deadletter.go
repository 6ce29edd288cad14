package damrey

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
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
	return m
}

// HeaderNumber reads a count that a dead letter carries: 0 for what is none.
func HeaderNumber(h nats.Header, name string) int { return headerNumber(h, name, 0) }
