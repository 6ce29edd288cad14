package relay_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/relay"
)

// echo answers every byte until the test ends.
func echo(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return ln.Addr().String()
}

func listen(t *testing.T) *relay.Relay {
	t.Helper()
	r, err := relay.Listen("127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func dial(t *testing.T, r *relay.Relay) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// round sends n bytes and waits until they are back.
func round(t *testing.T, c net.Conn, n int) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := c.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestRelay_SlowsAndHeals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state relay.State
		bytes int
		least time.Duration
	}{
		"delay":    {relay.State{Delay: 50 * time.Millisecond}, 10, 100 * time.Millisecond},
		"stall":    {relay.State{Stall: 1, StallTime: 60 * time.Millisecond}, 10, 120 * time.Millisecond},
		"throttle": {relay.State{Rate: 100_000}, 20_000, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := listen(t)
			conn := dial(t, r)
			r.Set(c.state)
			if took := round(t, conn, c.bytes); took < c.least {
				t.Errorf("%d bytes were back after %v, want at least %v", c.bytes, took, c.least)
			}
			r.Heal()
			round(t, conn, c.bytes)
		})
	}
}

func TestRelay_FreezeHoldsUntilHealed(t *testing.T) {
	t.Parallel()
	r := listen(t)
	conn := dial(t, r)
	round(t, conn, 1)
	r.Set(relay.State{FreezeDown: true})
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes came through a frozen link", n)
	}
	r.Heal()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestRelay_CutBreaksAndRefuses(t *testing.T) {
	t.Parallel()
	r := listen(t)
	conn := dial(t, r)
	round(t, conn, 1)
	r.Set(relay.State{Cut: true})
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives")
	}
	if _, err := dial(t, r).Read(make([]byte, 1)); err == nil {
		t.Error("a new connection lives")
	}
	r.Heal()
	round(t, dial(t, r), 1)
}
