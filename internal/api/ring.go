package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ring is the proxies of a fabric, of which one is used until it cannot be reached.
type ring struct {
	mu    sync.Mutex // guards what follows
	bases []*url.URL
	at    int
}

func newRing(bases []*url.URL) *ring { return &ring{bases: bases} }

func (r *ring) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bases)
}

func (r *ring) now() *url.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bases[r.at]
}

// leave goes on to the next, unless another call has left base already.
func (r *ring) leave(base *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bases[r.at] == base {
		r.at = (r.at + 1) % len(r.bases)
	}
}

// learn adds one that is not known yet.
func (r *ring) learn(base *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := func(b *url.URL) bool { return b.Host == base.Host && b.Path == base.Path }
	if !slices.ContainsFunc(r.bases, known) {
		r.bases = append(r.bases, base)
	}
}

// Learn adds proxies of the same cluster, as [Fabric] names them, to those that are asked when others cannot be reached.
// What is no URL of a proxy is passed over.
func (c *Client) Learn(proxies []string) {
	for _, proxy := range proxies {
		if base, err := parseBase(proxy); err == nil {
			c.proxies.learn(base)
		}
	}
}

func parseBases(proxies string) ([]*url.URL, error) {
	var bases []*url.URL
	for proxy := range strings.SplitSeq(proxies, ",") {
		base, err := parseBase(strings.TrimSpace(proxy))
		if err != nil {
			return nil, fmt.Errorf("proxy %q: %w; use ip:port, such as 127.0.0.1:8080, or a URL; commas between several", proxy, err)
		}
		bases = append(bases, base)
	}
	return bases, nil
}

// elsewhere says whether the call may be tried at another proxy after err.
func (what call) elsewhere(err error) bool {
	if err == nil {
		return false
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		return what.repeatable && refused.Status == http.StatusServiceUnavailable
	}
	return what.repeatable || neverSent(err)
}

// neverSent says that there was no connection, so that surely nothing was asked.
func neverSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
}

// share bounds a call to its part of the time there is, of so many that may follow one another. What may not be done
// twice has all of it: cut off, it would not be known whether it was done.
func (what call) share(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	if left <= 1 || !what.repeatable {
		return context.WithCancel(ctx)
	}
	most := timeout
	if d, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(d))
	}
	return context.WithTimeout(ctx, most/time.Duration(left))
}
