package damrey

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"
)

// HandlerFunc handles one message. What it returns decides the line: a REQUEST
// goes on along this worker's routes and the answer of whoever comes last goes
// to the first requester; a RESPONSE or ERROR goes to the requester; nil is an
// empty RESPONSE, and the end of a send. A non-nil error wins over the message
// and becomes an ERROR with its text.
//
// ctx ends when the message's budget is used up or the instance's drain time
// is over. Handlers run concurrently, as many as the worker's mpu has room for.
type HandlerFunc func(ctx context.Context, in Msg) (Msg, error)

// Middleware wraps a handler: what it does before calling next happens on the
// way in, what it does after on the way out.
type Middleware func(next HandlerFunc) HandlerFunc

// mux finds the handler of a type. It is built before Serve and fixed then.
type mux struct {
	handlers map[string]HandlerFunc
	wrong    []error
	sealed   bool
}

// Handle sets the handler for one type; "*" takes every type without one of
// its own. The middleware lies inside that of [WithMiddleware], the first
// outermost. Call it before Run or Serve; a wrong call is returned by Serve.
func (w *Instance) Handle(typ string, h HandlerFunc, mw ...Middleware) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &w.mux
	switch {
	case m.sealed:
		m.refuse("Handle(%q) was called after Run or Serve", typ)
	case typ != anyType && CheckName(typ) != nil:
		m.refuse("Handle: type %v", CheckName(typ))
	case h == nil:
		m.refuse("Handle(%q): the handler is nil", typ)
	case m.handlers[typ] != nil:
		m.refuse("Handle(%q) was called twice", typ)
	default:
		if m.handlers == nil {
			m.handlers = make(map[string]HandlerFunc)
		}
		m.handlers[typ] = wrap(wrap(h, mw), w.opts.middleware)
	}
}

func wrap(h HandlerFunc, mw []Middleware) HandlerFunc {
	for i := len(mw) - 1; i >= 0; i-- {
		h = mw[i](h)
	}
	return h
}

func (m *mux) refuse(format string, args ...any) {
	m.wrong = append(m.wrong, fmt.Errorf("%w: "+format, append([]any{ErrHandlerSetup}, args...)...))
}

// seal fixes the handlers and returns what was wrong with them.
func (m *mux) seal() error {
	m.sealed = true
	return errors.Join(m.wrong...)
}

// find returns the handler of a type; nil when there is none.
func (m *mux) find(typ string) HandlerFunc {
	if h := m.handlers[typ]; h != nil {
		return h
	}
	return m.handlers[anyType]
}

// call runs h. A panic becomes an error and the instance lives on; so does the
// end of the goroutine by runtime.Goexit, after its error has been answered.
func (w *Instance) call(ctx context.Context, h HandlerFunc, in *inbound) (out Msg, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover()
		text := "handler panicked: " + panicText(p)
		if p == nil {
			text = "handler ended its goroutine"
		}
		w.log.warn("handler panicked", func(e *zerolog.Event) {
			e.Str("route", in.where()).Str("panic", text).Bytes("stack", debug.Stack())
		})
		err = &fabricError{ErrPanic, text, in.where()}
		if p == nil {
			w.stats.handled.Add(1)
			w.stats.failed.Add(1)
			in.route.returned()
			w.fail(in, &fabricError{ErrPanic, text, in.where()})
		}
	}()
	out, err = h(ctx, in.msg)
	returned = true
	return out, err
}

// panicText never panics itself, whatever the value's own methods do.
func panicText(p any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a %T", p)
		}
	}()
	return fmt.Sprint(p)
}
