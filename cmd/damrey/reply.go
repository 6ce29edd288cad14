package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/wire"
)

// reply is the one answer to a request.
type reply struct {
	msg   damrey.Msg
	where string        // the route on which it ended, where that is known
	spent time.Duration // that a TIMEOUT took
	path  []damrey.Hop  // how, as far as that is known
	sent  bool          // no answer of a handler was waited for
}

// readReply reads what came back. A worker without the library may answer anything: what is no message is the one
// argument of a RESPONSE.
func readReply(m *nats.Msg, typ string) reply {
	r := reply{where: m.Header.Get("Damrey-Where")}
	if code := m.Header.Get(micro.ErrorCodeHeader); code != "" {
		r.msg = damrey.Msg{damrey.ERROR, typ, m.Header.Get(micro.ErrorHeader), code}
		return r
	}
	if msg, err := wire.Decode(m.Data); err == nil && len(msg) > 0 {
		switch msg[0] {
		case damrey.RESPONSE, damrey.ERROR, damrey.STOP, damrey.TIMEOUT:
			r.msg = msg
			return r
		}
	}
	r.msg = damrey.Msg{damrey.RESPONSE, typ}
	if len(m.Data) > 0 {
		r.msg = append(r.msg, string(m.Data))
	}
	return r
}

// err is nil for a RESPONSE; else it has the exit code of its tag.
func (r reply) err(what string) error {
	switch r.msg.Tag() {
	case damrey.RESPONSE:
		return nil
	case damrey.STOP:
		return &codeError{exitUndelivered, fmt.Errorf("STOP: no instance took the %s%s; is the worker running? `nats micro ls` shows who is", what, r.at())}
	case damrey.TIMEOUT:
		return &codeError{exitUndelivered, fmt.Errorf("TIMEOUT%s; %s", r.timeout(), r.advice())}
	}
	return &codeError{exitAnswered, fmt.Errorf("ERROR: %s", r.errorText())}
}

func (r reply) at() string {
	if r.where == "" {
		return ""
	}
	return " (" + r.where + ")"
}

// advice is what to do about a TIMEOUT: nothing that leads to the same message twice.
func (r reply) advice() string {
	switch {
	case r.sent:
		return fmt.Sprintf("it is not known whether it was taken or stored: on a durable route it may be, and is handled then; storing is tried for %v", storeTime)
	case len(r.path) == 0:
		return "give it more with --timeout, unless its route is durable: then it may be stored, and is handled all the same"
	case r.path[len(r.path)-1].Stored:
		return "only its answer did not come in time: do not send it again"
	}
	return "give it more with --timeout"
}

// timeout says where the message was, if that is known.
func (r reply) timeout() string {
	if len(r.path) == 0 {
		return fmt.Sprintf(": no answer after %v%s", r.spent, r.at())
	}
	e := &damrey.TimeoutError{Where: r.where, Spent: r.spent, Path: r.path, Stored: r.path[len(r.path)-1].Stored}
	return strings.TrimPrefix(e.Error(), "damrey: timeout")
}

// errorText is the ERROR's text with its arguments, a line each. The original format has the text in the type's place.
func (r reply) errorText() string {
	if len(r.msg) == 2 {
		return r.msg.Type()
	}
	if code := r.msg.Arg(1); len(r.msg) == 5 && strings.HasPrefix(code, "damrey:") {
		return fmt.Sprintf("%s (%s, %s)", strings.TrimPrefix(r.msg.Arg(0), "damrey: "), code, r.msg.Arg(2))
	}
	return strings.Join(r.msg.Args(), "\n")
}
