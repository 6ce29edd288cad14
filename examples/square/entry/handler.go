package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/damrey/damrey"
)

// newHandler turns http requests into requests of the worker w.
func newHandler(w *damrey.Instance) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(out http.ResponseWriter, in *http.Request) { ask(w, out, in) })
	mux.HandleFunc("GET /ready", func(out http.ResponseWriter, _ *http.Request) { tellReady(w, out) })
	return mux
}

func ask(w *damrey.Instance, out http.ResponseWriter, in *http.Request) {
	query, err := url.ParseQuery(in.URL.RawQuery)
	if err != nil || !query.Has("a") || !query.Has("b") {
		http.Error(out, "ask for two numbers, like /?a=3&b=4", http.StatusBadRequest)
		return
	}
	answer, err := w.Request(in.Context(), "add", query.Get("a"), query.Get("b"))
	if err != nil {
		http.Error(out, err.Error(), statusOf(err))
		return
	}
	fmt.Fprintln(out, answer.Arg(0))
}

// statusOf is the http status for what Request returns.
func statusOf(err error) int {
	if errors.Is(err, damrey.ErrTimeout) {
		return http.StatusGatewayTimeout // TIMEOUT
	}
	if e, ok := errors.AsType[*damrey.ReplyError](err); ok && e.Code == "" {
		return http.StatusBadRequest // an ERROR that a handler made
	}
	return http.StatusServiceUnavailable // STOP, no route, busy
}

func tellReady(w *damrey.Instance, out http.ResponseWriter) {
	select {
	case <-w.Ready():
		fmt.Fprintln(out, "ready")
	default:
		http.Error(out, "entry is not registered yet, or NATS is not there", http.StatusServiceUnavailable)
	}
}
