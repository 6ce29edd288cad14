package damrey

import "time"

// The tags, first element of every message.
const (
	REQUEST  = "REQUEST"  // user-defined request
	RESPONSE = "RESPONSE" // user-defined response
	ERROR    = "ERROR"    // an error occurred while processing the request
	STOP     = "STOP"     // no instance of the worker took the message; no type, no arguments
	TIMEOUT  = "TIMEOUT"  // the request's time is up; no type, no arguments
)

// Message is what the channels of a [Worker] carry.
//
// To send a request, set Rch and Timeout: exactly one RESPONSE, ERROR, STOP or
// TIMEOUT arrives on Rch, which may be unbuffered. Without Rch it is a send.
//
// A received Message always has an Rch. Writing one reply to it never blocks,
// wanted or not; writing a REQUEST forwards it along this worker's routes. The
// message is in flight until then or until its Timeout.
type Message struct {
	// Msg is tag, type and arguments.
	Msg []string
	// Rch takes the answer. Nil on an outgoing message means that none is wanted.
	Rch chan []string
	// Timeout is the most that processing Msg may take; 0 means Config.Timeout.
	// On a received message it is what was left of the requester's budget.
	Timeout time.Duration
}

// Worker is what [New] gives, as an interface for programs that want to name
// it. *Instance implements it.
type Worker interface {
	Run()
	Stop()
	SendChannel() chan<- *Message // to be closed by the caller after Stop
	RecvChannel() <-chan *Message // closes by itself after Stop
}

// Msg is one message: tag, type, arguments. Its methods never panic: what is
// absent reads as the empty string.
type Msg []string

// NewRequest returns a REQUEST of the given type.
func NewRequest(typ string, args ...string) Msg { return compose(REQUEST, typ, args) }

// Reply returns a RESPONSE. Its type is filled in with the request's when it
// leaves the handler.
func Reply(args ...string) Msg { return compose(RESPONSE, "", args) }

// Fail returns an ERROR with a text for people and arguments for programs. Its
// type is filled in with the request's when it leaves the handler.
func Fail(text string, args ...string) Msg {
	return append(Msg{ERROR, "", text}, args...)
}

func compose(tag, typ string, args []string) Msg {
	m := make(Msg, 2+len(args))
	m[0], m[1] = tag, typ
	copy(m[2:], args)
	return m
}

// Tag is the first element: REQUEST, RESPONSE, ERROR, STOP or TIMEOUT.
func (m Msg) Tag() string { return m.at(0) }

// Type is the second element.
func (m Msg) Type() string { return m.at(1) }

// Arg is argument i, counted from 0; empty when there is none.
func (m Msg) Arg(i int) string {
	if i < 0 {
		return ""
	}
	return m.at(2 + i)
}

// Args are the arguments, sharing memory with m.
func (m Msg) Args() []string {
	if len(m) <= 2 {
		return nil
	}
	return m[2:]
}

func (m Msg) at(i int) string {
	if i >= len(m) {
		return ""
	}
	return m[i]
}
