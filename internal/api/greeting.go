package api

import (
	"context"
	"net"
	"strings"
)

// greetingError is what something said that speaks first, or that answers in text which is not HTTP's.
type greetingError string

func (greetingError) Error() string { return "it does not speak HTTP" }

// isNATS says that it greets as servers of NATS do.
func (e greetingError) isNATS() bool { return strings.HasPrefix(string(e), "INFO {") }

// dial connects as net.Dialer does, and has a connection fail with a greetingError on what cannot be HTTP. Whether
// net/http says by itself that it does not understand a greeting depends on which comes first, that or the request.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: timeout / 2}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &greetedConn{Conn: conn}, nil
}

type greetedConn struct {
	net.Conn
	read bool
}

func (c *greetedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 || c.read {
		return n, err
	}
	c.read = true
	if first := p[:n]; isText(first[0]) && !strings.HasPrefix(string(first), "HTTP/"[:min(n, len("HTTP/"))]) {
		return 0, greetingError(first)
	}
	return n, err
}

// isText tells words from the records of TLS and from what a SOCKS proxy says.
func isText(b byte) bool { return b >= ' ' && b <= '~' }
