package proxyd

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// maxBody is the most that a request may carry.
const maxBody = 1 << 20

func newServer(handler http.Handler, logger zerolog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(logger, "", 0),
	}
}

// caller is who asks: its address, and the host by which it knows the proxy.
type caller struct{ addr, host string }

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller) // zero outside a request
	return c
}

// doorman stands before the routes: whatever they do not answer becomes a problem here, and nothing that a handler does
// ends a connection without one.
type doorman struct {
	routes   *http.ServeMux
	hosts    hosts
	origin   *http.CrossOriginProtection
	readOnly bool
	log      zerolog.Logger
}

func newDoorman(routes *http.ServeMux, hosts hosts, cfg Config) *doorman {
	return &doorman{routes: routes, hosts: hosts, origin: http.NewCrossOriginProtection(), readOnly: cfg.ReadOnly, log: cfg.Log}
}

// changes says whether a request may change something that an operator would have asked for. What an agent does with its
// name is none: without a claim no agent could run, and one that stops without giving its name back would look lost. Either
// needs the id of the claim, which only the agent has.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return r.Method != http.MethodPut && r.Method != http.MethodDelete || !strings.HasPrefix(r.URL.Path, "/v1/agents/")
}

func (d *doorman) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.recover(w, r)
	host := askedHost(r)
	if p := d.hosts.check(host); p != nil {
		writeProblem(w, r, p)
		return
	}
	if err := d.origin.Check(r); err != nil {
		writeProblem(w, r, problem(http.StatusForbidden, "a page of another site may not change the table from a browser: %v", err))
		return
	}
	if d.readOnly && changes(r) {
		writeProblem(w, r, problem(http.StatusForbidden, "this proxy was started with --read-only and changes nothing; ask another proxy, or start it without"))
		return
	}
	if p := joinConditions(r.Header); p != nil {
		writeProblem(w, r, p)
		return
	}
	if r.ContentLength > maxBody {
		writeProblem(w, r, tooLarge())
		return
	}
	handler, pattern := d.routes.Handler(r)
	if pattern == "" || !clean(r.URL.Path) {
		unmatched(w, r, handler)
		return
	}
	c := caller{addr: r.RemoteAddr, host: host}
	d.routes.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
}

func (d *doorman) recover(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	d.log.Error().Interface("panic", p).Str("method", r.Method).Str("path", r.URL.Path).Msg("request failed")
	writeProblem(w, r, problem(http.StatusInternalServerError, "the proxy failed on this request; its log says more"))
}

// clean paths are the only ones that a route has; the mux would redirect the others.
func clean(p string) bool { return path.Clean(p) == p }

// verdict takes what the mux would have answered without a route.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v *verdict) WriteHeader(status int)      { v.status = status }

func unmatched(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	v := &verdict{header: http.Header{}}
	handler.ServeHTTP(v, r)
	if allow := v.header.Get("Allow"); v.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		writeProblem(w, r, problem(v.status, "%s is not allowed on %s; use %s", r.Method, r.URL.Path, strings.ReplaceAll(allow, ", ", " or ")))
		return
	}
	nothingHere(w, r)
}

func nothingHere(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, r, problem(http.StatusNotFound, "there is no %s here; /openapi.json lists what there is", shorten(r.URL.Path)))
}

// askedAddress is the host by which the caller reached the proxy, with its port.
func askedAddress(r *http.Request) string {
	if r.Host == "" { // HTTP/1.0
		return fmt.Sprint(r.Context().Value(http.LocalAddrContextKey))
	}
	return r.Host
}

// askedHost is the same without the port.
func askedHost(r *http.Request) string {
	asked := askedAddress(r)
	if host, _, err := net.SplitHostPort(asked); err == nil {
		return host
	}
	return strings.Trim(asked, "[]")
}
