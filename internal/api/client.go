package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// timeout bounds one call when its context does not end earlier.
const timeout = 10 * time.Second

// defaultPort is where an address without a port, which is no URL, means the proxy to be.
const defaultPort = "8080"

// Client speaks to the proxies of one fabric. It is safe for concurrent use; its methods return *[Error] when a proxy
// answered with a problem, and an error that names the proxy when none could be reached.
type Client struct {
	proxies *ring
	http    *http.Client
}

// New makes a client of the proxy at an address, ip:port or a URL such as http://10.1.2.3:8080. An address that is
// no URL may leave out the port, which is 8080 then. Several addresses, separated by commas, are proxies of one cluster:
// the client keeps to one and moves on to the next when that cannot be reached. New does not connect.
func New(proxy string) (*Client, error) {
	bases, err := parseBases(proxy)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: timeout / 2,
	}
	return &Client{proxies: newRing(bases), http: &http.Client{Transport: transport, Timeout: timeout}}, nil
}

func parseBase(proxy string) (*url.URL, error) {
	bare := !strings.Contains(proxy, "://")
	if bare {
		if ip := net.ParseIP(proxy); ip != nil && ip.To4() == nil {
			proxy = "[" + proxy + "]"
		}
		proxy = "http://" + proxy
	}
	u, err := url.Parse(proxy)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("no host in it")
	case u.Port() != "":
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("port %s is out of range, which is 1 to 65535", u.Port())
		}
	case bare:
		u.Host = strings.TrimSuffix(u.Host, ":") + ":" + defaultPort
	}
	return &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}, nil
}

// URL of the proxy that is used now.
func (c *Client) URL() string { return c.proxies.now().Redacted() }

// Close ends idle connections. The client can be used again after it.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Fabric asks what one needs to take part.
func (c *Client) Fabric(ctx context.Context) (Fabric, error) {
	var f Fabric
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "fabric"}, into: &f})
	return f, err
}

// call is one exchange with the proxy.
type call struct {
	method  string
	path    []string // segments, not escaped
	query   url.Values
	ifMatch string
	body    any          // nil: none
	into    any          // nil: the answer's body does not matter
	headers *http.Header // nil: those of the answer do not matter
	// repeatable: to do it twice is as to do it once, so that it may be tried at another proxy whatever came of it.
	repeatable bool
}

// call returns the ETag of the answer. It goes round the proxies as long as what is asked was surely not begun, or may be
// done twice.
func (c *Client) call(ctx context.Context, what call) (etag string, err error) {
	what.repeatable = what.repeatable || what.method == http.MethodGet
	for left := c.proxies.len(); ; left-- {
		base := c.proxies.now()
		etag, err = c.callOne(ctx, base, what, left)
		if left == 1 || ctx.Err() != nil || !what.elsewhere(err) {
			return etag, err
		}
		c.proxies.leave(base)
	}
}

// callOne asks one proxy, with a fair share of the time when there are others left to ask.
func (c *Client) callOne(ctx context.Context, base *url.URL, what call, left int) (etag string, err error) {
	ctx, cancel := what.share(ctx, left)
	defer cancel()
	req, err := what.request(ctx, base)
	if err != nil {
		return "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", unreachable(ctx, base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", refused(base, resp)
	}
	if what.headers != nil {
		*what.headers = resp.Header
	}
	if what.into == nil {
		return resp.Header.Get("ETag"), nil
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", unreachable(ctx, base, err)
	}
	if err := json.Unmarshal(data, what.into); err != nil {
		return "", fmt.Errorf("%s answered %s %s with something unexpected: %w; is it a Damrey proxy of this version?",
			base.Redacted(), what.method, req.URL.Path, err)
	}
	return resp.Header.Get("ETag"), nil
}

func (what call) request(ctx context.Context, base *url.URL) (*http.Request, error) {
	var body io.Reader
	if what.body != nil {
		data, err := json.Marshal(what.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	target := base.String()
	for _, segment := range what.path {
		target += "/" + url.PathEscape(segment)
	}
	if len(what.query) > 0 {
		target += "?" + what.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, what.method, target, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if what.ifMatch != "" {
		req.Header.Set("If-Match", what.ifMatch)
	}
	return req, nil
}

// unreachable puts the ways in which a connection fails into words. When the caller's context ended, that is the reason.
func unreachable(ctx context.Context, base *url.URL, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the proxy at %s did not answer: %w", base.Redacted(), ctx.Err())
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		if wrapped.Timeout() {
			return fmt.Errorf("the proxy at %s did not answer within %v: %w", base.Redacted(), timeout, err)
		}
		err = wrapped.Err
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = syscall.ECONNREFUSED
	}
	greeting, greeted := errors.AsType[greetingError](err)
	if greeting.isNATS() {
		return fmt.Errorf("%s is a port of NATS, not of a proxy; name the proxy's, which is 8080 unless `damrey proxy` says another, with --proxy or DAMREY_PROXY", base.Redacted())
	}
	if greeted || strings.Contains(err.Error(), "malformed HTTP") {
		return fmt.Errorf("what listens at %s does not speak HTTP, which a proxy does; name another with --proxy or DAMREY_PROXY", base.Redacted())
	}
	return fmt.Errorf("cannot reach the proxy at %s: %w; is `damrey proxy` running? name another with --proxy or DAMREY_PROXY",
		base.Redacted(), err)
}

// refused reads the problem that came instead of a success.
func refused(base *url.URL, resp *http.Response) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // what cannot be parsed is not a problem either
	e := &Error{Status: resp.StatusCode}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && media == "application/problem+json" {
		err = json.Unmarshal(data, &e.Problem)
	}
	if err != nil || media != "application/problem+json" {
		e.Problem = Problem{Status: e.Status, Detail: fmt.Sprintf("%s answered %s to %s %s, which a Damrey proxy does not; is another program listening there?",
			base.Redacted(), resp.Status, resp.Request.Method, resp.Request.URL.Path)}
	}
	return e
}
