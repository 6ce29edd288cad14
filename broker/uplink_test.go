package broker_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
)

// watchUplink returns the changes that Watch tells, the present state first.
func watchUplink(t *testing.T, l *broker.Leaf) <-chan bool {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan bool, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Watch(ctx, func(up bool) { changes <- up })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return changes
}

func nextUplink(t *testing.T, changes <-chan bool, want bool) {
	t.Helper()
	select {
	case up := <-changes:
		if up != want {
			t.Fatalf("uplink changed to %v, want %v", up, want)
		}
	case <-time.After(patience):
		t.Fatalf("uplink did not change to %v", want)
	}
}

func TestLeaf_ServesLocalClientsWithoutTheBrokerAndRecovers(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	dir := t.TempDir()
	hub := newBroker(t, broker.Config{Dir: dir})
	stopHub := start(t, hub)
	port := leafPort(t, hub.LeafURL())
	leaf := startLeaf(t, agentName, hub.LeafURL())
	changes := watchUplink(t, leaf)
	nextUplink(t, changes, true)
	a, b := connect(t, leaf), connect(t, leaf)
	if err := bucket.Ensure(ctx, jetStream(t, a), "damrey"); err != nil {
		t.Fatal(err)
	}

	stopHub()
	nextUplink(t, changes, false)
	if leaf.Uplink() {
		t.Error("Uplink without a broker")
	}
	reach(t, a, b) // traffic of one machine flows on

	again := startBroker(t, broker.Config{Dir: dir, LeafPort: port})
	nextUplink(t, changes, true)
	reach(t, a, connect(t, again))
	eventually(t, "JetStream is back through the leaf", func() bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := jetStream(t, a).KeyValue(ctx, bucket.Name("damrey"))
		return err == nil
	})
}

func TestLeaf_StartsBeforeItsBroker(t *testing.T) {
	t.Parallel()
	hub := newBroker(t, broker.Config{})
	stop := start(t, hub)
	remote, port := hub.LeafURL(), leafPort(t, hub.LeafURL())
	stop()

	leaf := newLeaf(t, broker.LeafConfig{Name: agentName, Remotes: []string{remote}})
	start(t, leaf)
	changes := watchUplink(t, leaf)
	nextUplink(t, changes, false)
	startBroker(t, broker.Config{LeafPort: port})
	nextUplink(t, changes, true)
}

func TestLeaf_HasNoUplinkWhenTheBrokerRefusesItsLogin(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{User: "u", Password: "secret"})
	refused := make(attempts, 1000) // more than come
	leaf := newLeaf(t, broker.LeafConfig{
		Name: agentName, Remotes: []string{strings.Replace(hub.LeafURL(), "://", "://u:wrong@", 1)}, Log: zerolog.New(refused),
	})
	start(t, leaf)
	for seen := 0; seen < 3; { // it looks as often as it can while the leaf is refused three times
		if leaf.Uplink() {
			t.Fatal("up without a login")
		}
		select {
		case <-refused:
			seen++
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		default:
		}
	}
}

// attempts receives a value for each log line that tells of a refused login.
type attempts chan struct{}

func (a attempts) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("Authorization Violation")) {
		a <- struct{}{}
	}
	return len(line), nil
}

func TestLeaf_UplinkEndsWithRun(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	leaf := newLeaf(t, broker.LeafConfig{Name: agentName, Remotes: []string{hub.LeafURL()}})
	changes := watchUplink(t, leaf) // before Run
	nextUplink(t, changes, false)
	stop := start(t, leaf)
	nextUplink(t, changes, true)
	stop()
	nextUplink(t, changes, false)
}

// Two agents of one name: nats-server 2.15.2 evicts the first for the second, which then comes back and evicts that one.
func TestTrap_TwoAgentsOfOneNameFlap(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	first := watchUplink(t, startLeaf(t, agentName, hub.LeafURL()))
	nextUplink(t, first, true)
	second := newLeaf(t, broker.LeafConfig{Name: agentName, Remotes: []string{hub.LeafURL()}})
	changes := watchUplink(t, second)
	start(t, second)
	nextUplink(t, first, false)
	nextUplink(t, first, true)
	nextUplink(t, changes, false) // not linked yet
	nextUplink(t, changes, true)
	nextUplink(t, changes, false) // the first has come back
}

// With nats-server's own settings a frozen link goes unnoticed for minutes.
func TestTrap_FrozenLinkIsNoticedAndReplaced(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	link := newPipe(t, leafPort(t, hub.LeafURL()))
	leaf := startLeaf(t, agentName, "nats-leaf://"+link.address())
	changes := watchUplink(t, leaf)
	nextUplink(t, changes, true)
	at, far := connect(t, leaf), connect(t, hub)
	reach(t, at, far)

	link.frozen.Store(true)
	nextUplink(t, changes, false)
	link.frozen.Store(false)
	eventually(t, "the uplink is back", leaf.Uplink)
	reach(t, at, far)
	reach(t, far, at)
}

// pipe passes TCP connections on to a port until it is frozen: then what comes is swallowed, and nobody is told.
type pipe struct {
	ln     net.Listener
	frozen atomic.Bool
	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  []net.Conn // guarded by mu
}

func newPipe(t *testing.T, port int) *pipe {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{ln: ln}
	p.wg.Go(func() { p.accept(port) })
	t.Cleanup(p.close)
	return p
}

func (p *pipe) address() string { return p.ln.Addr().String() }

func (p *pipe) close() {
	p.ln.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *pipe) accept(port int) {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(out, in) })
		p.wg.Go(func() { p.copy(in, out) })
	}
}

// copy ends both sides when one of them ends.
func (p *pipe) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if p.frozen.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
