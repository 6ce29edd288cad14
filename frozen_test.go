package damrey_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// freezer is a TCP relay that can stop reading from its clients.
type freezer struct {
	listener net.Listener
	target   string
	mu       sync.Mutex // held while frozen
	wg       sync.WaitGroup
}

// smallBuffer makes a frozen link fill up soon.
const smallBuffer = 64 << 10

func newFreezer(t *testing.T, url string) *freezer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &freezer{listener: l, target: strings.TrimPrefix(url, "nats://")}
	f.wg.Go(f.accept)
	t.Cleanup(func() { _ = l.Close(); f.wg.Wait() })
	return f
}

func (f *freezer) url() string { return "nats://" + f.listener.Addr().String() }

func (f *freezer) accept() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return // closed at the end of the test
		}
		server, err := net.Dial("tcp", f.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		_ = client.(*net.TCPConn).SetReadBuffer(smallBuffer) // a larger one makes the test slower
		f.wg.Go(func() { f.pass(server, client) })
		f.wg.Go(func() { f.pass(client, server) })
	}
}

// pass copies until either side has closed, and closes the other.
func (f *freezer) pass(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		f.mu.Lock() // waits while it is frozen
		_, werr := to.Write(buf[:n])
		f.mu.Unlock()
		if err != nil || werr != nil {
			return
		}
	}
}

// A link that is frozen holds up nobody who asks: each is back soon after its
// own time is over, though all buffers are full and NATS's client blocks.
func TestInstance_AFrozenLinkHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	relay := newFreezer(t, f.srv.ClientURL())
	f.register("a", to("ask", "b"))
	f.register("b")
	f.worker("b", echo)
	a := f.serve(f.instance(damrey.Config{Name: "a"}, damrey.WithConnect(damrey.ConnectConfig{URL: relay.url()})))
	_, err := a.Request(f.context(), "ask")
	must(t, err)

	relay.mu.Lock()
	big := strings.Repeat("x", 4000)
	end := time.Now().Add(3 * time.Second)
	for n := 0; n < 4000 && time.Now().Before(end); n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		began := time.Now()
		_, err := a.Request(ctx, "ask", big)
		cancel()
		if err == nil {
			t.Error("an answer came through a frozen link")
		}
		if spent := time.Since(began); spent > 2*time.Second {
			t.Errorf("request %d came back after %v, its time was 1ms", n, spent)
			break
		}
	}
	relay.mu.Unlock()
	eventually(t, "answers come again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Request(ctx, "ask")
		return err == nil
	})
}
