//go:build linux

package faults

import (
	"net"
	"sync"
	"testing"
	"time"
)

// relay is a TCP link that can be cut, frozen, slowed and healed.
type relay struct {
	t      testing.TB
	ln     net.Listener
	target string
	group  sync.WaitGroup

	mu      sync.Mutex // guards all below
	changed chan struct{}
	state   linkState
	conns   map[net.Conn]struct{}
	closed  bool
}

// linkState says what a relay does with what comes.
type linkState struct {
	cut        bool          // refuse connections
	freezeUp   bool          // hold what goes to the target
	freezeDown bool          // hold what comes from it
	delay      time.Duration // of everything, each way
}

// newRelay listens on a free port until the end of the test.
func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &relay{t: t, ln: ln, target: target, changed: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	r.group.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// addr is where to connect.
func (r *relay) addr() string { return r.ln.Addr().String() }

// set changes what the relay does. A cut breaks the connections that there are.
func (r *relay) set(s linkState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	close(r.changed)
	r.changed = make(chan struct{})
	if s.cut {
		r.drop()
	}
}

func (r *relay) heal() { r.set(linkState{}) }

// reset breaks the connections that there are, and takes new ones.
func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
}

// drop resets all connections. mu is held.
func (r *relay) drop() {
	for c := range r.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails only on a connection that is closed already
		}
		_ = c.Close()
	}
}

func (r *relay) close() {
	r.ln.Close()
	r.mu.Lock()
	r.closed = true
	r.drop()
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	r.group.Wait()
}

func (r *relay) accept() {
	for {
		in, err := r.ln.Accept()
		if err != nil {
			return
		}
		if !r.connect(in) {
			in.Close()
		}
	}
}

// connect links in to the target. False while the link is cut.
func (r *relay) connect(in net.Conn) bool {
	r.mu.Lock()
	refuse := r.state.cut || r.closed
	r.mu.Unlock()
	if refuse {
		return false
	}
	out, err := net.DialTimeout("tcp", r.target, slack)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.cut || r.closed {
		out.Close()
		return false
	}
	r.conns[in], r.conns[out] = struct{}{}, struct{}{}
	r.group.Go(func() { r.carry(in, out, func(s linkState) bool { return s.freezeUp }) })
	r.group.Go(func() { r.carry(out, in, func(s linkState) bool { return s.freezeDown }) })
	return true
}

// chunk is what was read at one time, and when it may go on.
type chunk struct {
	data []byte
	due  time.Time
}

// carry moves one direction until it breaks.
func (r *relay) carry(from, to net.Conn, frozen func(linkState) bool) {
	chunks := make(chan chunk, 1024)
	gone := make(chan struct{})
	r.group.Go(func() {
		defer close(gone)
		defer r.forget(from, to)
		for c := range chunks {
			if !r.hold(c.due, frozen) {
				return
			}
			if _, err := to.Write(c.data); err != nil {
				return
			}
		}
	})
	defer close(chunks)
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			r.mu.Lock()
			due := time.Now().Add(r.state.delay)
			r.mu.Unlock()
			select {
			case chunks <- chunk{buf[:n], due}:
			case <-gone:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hold waits for the time of a chunk, and while the direction is frozen. False
// when the link was cut meanwhile.
func (r *relay) hold(due time.Time, frozen func(linkState) bool) bool {
	if d := time.Until(due); d > 0 {
		last(d)
	}
	for {
		r.mu.Lock()
		over, wait, changed := r.closed || r.state.cut, frozen(r.state), r.changed
		r.mu.Unlock()
		if over {
			return false
		}
		if !wait {
			return true
		}
		<-changed
	}
}

func (r *relay) forget(a, b net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range []net.Conn{a, b} {
		delete(r.conns, c)
		c.Close()
	}
}
