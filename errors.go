package damrey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What Request, Send, Flush and Serve return; to be told apart with errors.Is.
var (
	ErrNoRoute      = errors.New("damrey: no route")                                                                          // the table has no row for this type
	ErrNoInstance   = errors.New("damrey: no instance took the message")                                                      // STOP came
	ErrTimeout      = errors.New("damrey: timed out")                                                                         // TIMEOUT came
	ErrClosed       = errors.New("damrey: instance is stopped")                                                               // this instance has been stopped
	ErrNotConnected = errors.New("damrey: not connected")                                                                     // no connection to NATS within the time
	ErrNoHandler    = errors.New("damrey: no such handler")                                                                   // no handler for the type there
	ErrBusy         = errors.New("damrey: busy")                                                                              // the instance's queue is full
	ErrPaused       = errors.New("damrey: paused")                                                                            // the route or the worker is paused
	ErrLoop         = errors.New("damrey: too many hops")                                                                     // the message went round
	ErrMalformed    = errors.New("damrey: malformed message")                                                                 // the payload could not be read
	ErrPanic        = errors.New("damrey: handler panicked")                                                                  // a handler panicked
	ErrTooLarge     = errors.New("damrey: message too large")                                                                 // over the broker's max_payload
	ErrFull         = errors.New("damrey: full")                                                                              // no room is left where it is stored
	ErrIDConflict   = errors.New("damrey: another message was stored under this id")                                          // within the window, with another content
	ErrFailed       = errors.New("damrey: handler failed")                                                                    // a handler's output was no message
	ErrUndelivered  = errors.New("damrey: sends were not delivered")                                                          // Flush: some sends reached nobody
	ErrAlreadyRun   = errors.New("damrey: Run or Serve was called before")                                                    // an instance runs once
	ErrHandlerSetup = errors.New("damrey: wrong call of Handle")                                                              // returned by Serve
	ErrNotStored    = errors.New("damrey: not stored")                                                                        // or not known to be: the error says which
	ErrDropped      = errors.New("damrey: the connection broke before these were confirmed; whether they arrived is unknown") // not pushed again
	ErrNotScheduled = errors.New("damrey: nothing waits under this id")                                                       // Cancel: it was sent, or there never was one
)

// The codes that an ERROR made by the fabric carries as "damrey:<code>", and
// the sentinel that each becomes at the requester. The set is closed.
var codes = []struct {
	code string
	err  error
}{
	{"no_route", ErrNoRoute},
	{"no_such_handler", ErrNoHandler},
	{"busy", ErrBusy},
	{"paused", ErrPaused},
	{"loop", ErrLoop},
	{"malformed", ErrMalformed},
	{"panic", ErrPanic},
	{"too_large", ErrTooLarge},
	{"full", ErrFull},
	{"id_conflict", ErrIDConflict},
	{"failed", ErrFailed},
}

const codeMark = "damrey:"

func codeOf(err error) string {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "failed"
}

func sentinelOf(code string) error {
	for _, c := range codes {
		if c.code == code {
			return c.err
		}
	}
	return nil
}

// ReplyError is an ERROR that came as the answer to a request. errors.Is finds
// the sentinel of its code, such as [ErrBusy].
type ReplyError struct {
	// Code is the fabric's word for what happened, such as busy; empty when a
	// handler made the ERROR.
	Code string
	// Text is for people.
	Text string
	// Where is the route on which it happened, from→type→to; empty when a
	// handler made the ERROR.
	Where string
}

func (e *ReplyError) Error() string {
	s := "damrey: " + e.Text
	if e.Where != "" {
		s += " (" + e.Where + ")"
	}
	return s
}

// Is matches the sentinel of the code.
func (e *ReplyError) Is(target error) bool {
	s := sentinelOf(e.Code)
	return s != nil && s == target
}

// TimeoutError is returned when no answer came within the budget. It is
// [ErrTimeout] and context.DeadlineExceeded.
type TimeoutError struct {
	// Where is the route on which it was when the time was up, from→type→to, as
	// far as that is known; else the one whose answer did not come.
	Where string
	// Spent is how long the request was under way.
	Spent time.Duration
	// Stored says that the message is stored at the broker and will be handled, or
	// what followed from it is; only its answer did not come in time.
	Stored bool
	// Path is how the budget was spent: the hops that are known, in order. It is
	// empty when nobody was asked: the budget was under 40 ms, or more than ten
	// requests of this instance timed out in that second.
	Path []Hop
}

func (e *TimeoutError) Error() string {
	text := fmt.Sprintf("damrey: no answer within %v (%s)", e.Spent.Round(time.Millisecond), e.Where)
	if len(e.Path) > 0 {
		text = "damrey: " + describe(e.Path, e.Spent)
	}
	if e.Stored {
		text += "; the message is stored and will be handled"
	}
	return text
}

func timedOut(at string, spent time.Duration, stored bool, path []Hop) *TimeoutError {
	if len(path) > 0 {
		last := path[len(path)-1]
		at, stored = last.Route, stored || last.Stored
	}
	return &TimeoutError{Where: at, Spent: spent, Stored: stored, Path: path}
}

// Is matches [ErrTimeout] and context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

// Timeout makes it a net.Error's kind of timeout.
func (e *TimeoutError) Timeout() bool { return true }

// fabricError is an ERROR that this side makes: its sentinel, what to say and
// on which route.
type fabricError struct {
	kind  error
	text  string
	where string
}

func (e *fabricError) Error() string {
	return fmt.Sprintf("%v: %s (%s)", e.kind, e.text, e.where)
}

func (e *fabricError) Unwrap() error { return e.kind }

// message is e as it crosses the wire.
func (e *fabricError) message(typ string) Msg {
	return Msg{ERROR, typ, e.text, codeMark + codeOf(e.kind), e.where}
}

// replyError turns an ERROR's arguments into an error. A handler's own ERROR
// has no code; the original format's ["ERROR", text] has no type.
func replyError(m Msg) *ReplyError {
	if len(m) == 2 {
		return &ReplyError{Text: m[1]}
	}
	e := &ReplyError{Text: m.Arg(0)}
	if code, ok := strings.CutPrefix(m.Arg(1), codeMark); ok && len(m) == 5 {
		e.Code, e.Where = code, m.Arg(2)
	}
	return e
}
