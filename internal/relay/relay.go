// Package relay is a TCP link that can be cut, frozen, slowed and healed, for trying out what a fabric does then.
package relay

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// dialTime is how long the target may take to accept a connection.
const dialTime = 5 * time.Second

// Relay carries connections to one target. Its methods are safe for concurrent use.
type Relay struct {
	ln     net.Listener
	target string
	group  sync.WaitGroup

	mu      sync.Mutex // guards all below
	changed chan struct{}
	state   State
	conns   map[net.Conn]struct{}
	closed  bool
}

// Listen carries what comes to addr, host:port with port 0 for a free one, to target until Close.
func Listen(addr, target string) (*Relay, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", target, err)
	}
	r := &Relay{ln: ln, target: target, changed: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	r.group.Go(r.accept)
	return r, nil
}

// Addr is where to connect.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Set changes what the relay does. A cut breaks the connections that there are.
func (r *Relay) Set(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	r.tell()
	if s.Cut {
		r.drop()
	}
}

// Heal is Set to a link that is well.
func (r *Relay) Heal() { r.Set(State{}) }

// Reset breaks the connections that there are, and takes new ones.
func (r *Relay) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
}

// Close ends the relay and returns when all of it is gone.
func (r *Relay) Close() {
	r.ln.Close()
	r.mu.Lock()
	r.closed = true
	r.drop()
	r.tell()
	r.mu.Unlock()
	r.group.Wait()
}

// tell wakes whoever waits for a change. mu is held.
func (r *Relay) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// drop resets all connections. mu is held.
func (r *Relay) drop() {
	for c := range r.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails only on a connection that is closed already
		}
		_ = c.Close()
	}
}

func (r *Relay) accept() {
	for {
		in, err := r.ln.Accept()
		if err != nil {
			return
		}
		if !r.connect(in) {
			_ = in.Close() // the link is cut: nobody looks at it any more
		}
	}
}

// connect links in to the target. False while the link is cut.
func (r *Relay) connect(in net.Conn) bool {
	if r.refuses() {
		return false
	}
	out, err := net.DialTimeout("tcp", r.target, dialTime)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Cut || r.closed {
		_ = out.Close() // nothing was written
		return false
	}
	r.conns[in], r.conns[out] = struct{}{}, struct{}{}
	r.group.Go(func() { r.carry(in, out, func(s State) bool { return s.FreezeUp }) })
	r.group.Go(func() { r.carry(out, in, func(s State) bool { return s.FreezeDown }) })
	return true
}

func (r *Relay) refuses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Cut || r.closed
}

func (r *Relay) forget(a, b net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range []net.Conn{a, b} {
		delete(r.conns, c)
		_ = c.Close() // it has broken
	}
}
