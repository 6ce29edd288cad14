package damrey

import (
	"fmt"
	"time"

	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// answer is what ends a call: a NATS message from outside or a message made
// here (STOP, TIMEOUT, ERROR).
type answer struct {
	from  *nats.Msg
	made  Msg
	where string
	// stored says that what timed out is stored and will be handled.
	stored bool
	path   []Hop // where it was, when it timed out
}

// message reads an answer. What a plain worker answers may be anything: what
// is no message is the one argument of a RESPONSE.
func (a answer) message(typ string) Msg {
	if a.made != nil {
		return a.made
	}
	if code := a.from.Header.Get(micro.ErrorCodeHeader); code != "" {
		return Msg{ERROR, typ, a.from.Header.Get(micro.ErrorHeader), code}
	}
	if msg, err := wire.Decode(a.from.Data); err == nil && len(msg) > 0 {
		switch msg[0] {
		case RESPONSE, ERROR:
			return msg
		case STOP, TIMEOUT:
			return Msg{msg[0]}
		case REQUEST:
			return (&fabricError{ErrFailed, "the worker answered with a REQUEST; a plain worker forwards through the bridge", a.where}).message(typ)
		}
	}
	if len(a.from.Data) == 0 {
		return Msg{RESPONSE, typ}
	}
	return Msg{RESPONSE, typ, string(a.from.Data)}
}

// pathSaid is where a TIMEOUT says that the message was when its time was up.
func (a answer) pathSaid(at string) []Hop {
	if a.from == nil || len(a.path) > 0 {
		return a.path
	}
	spent, err := time.ParseDuration(a.from.Header.Get(headerSpent))
	if err != nil {
		return nil
	}
	return []Hop{{Route: at, State: HopHandling, For: spent, Spent: spent}}
}

// result is what Request returns for an answer.
func (a answer) result(r *Route, began moment) (Msg, error) {
	m := a.message(r.Type)
	if m.Tag() == RESPONSE {
		return m, nil
	}
	at := a.where
	if a.from != nil {
		at = a.from.Header.Get(headerWhere)
	}
	if at == "" {
		at = r.String()
	}
	switch m.Tag() {
	case STOP:
		return m, fmt.Errorf("%w (%s)", ErrNoInstance, at)
	case TIMEOUT:
		return m, timedOut(at, clock().since(began), a.stored, a.pathSaid(at))
	}
	return m, replyError(m)
}
