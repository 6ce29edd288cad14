//go:build unix

package integration

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// A rewired path loses nothing: while requests run over http and through the
// bridge, entry's messages are sent to another worker and back, twenty times.
func TestExample_SquareIsRewiredLive(t *testing.T) {
	s := startSquare(t)
	s.damrey("worker", "add", "add2", "--command", "square=square")
	start(t, append(s.environment(), "WORKER=add2"), s.home, filepath.Join(s.state(), "bin", "add"))

	overHTTP := newLoad(4, func() error {
		status, body, err := s.ask("3", "4")
		if err == nil && (status != http.StatusOK || body != "49\n") {
			err = fmt.Errorf("http %d: %s", status, body)
		}
		return err
	})
	defer overHTTP.stop()
	throughBridge := newLoad(1, func() error {
		out, err := s.tryDamrey("request", "entry", "add", "3", "4")
		if err == nil && out != "49\n" {
			err = fmt.Errorf("damrey request printed %q", out)
		}
		return err
	})
	defer throughBridge.stop()

	nc := s.connect(agentPort)
	for i := range 20 {
		target := []string{"add2", "add"}[i%2]
		had, http, bridge := received(t, nc, target), overHTTP.done(), throughBridge.done()
		s.damrey("worker", "chg", "entry", "--command", "add="+target)
		eventually(t, target+" gets entry's messages, and both kinds of request go on", func() bool {
			// One of each asker may have been under way before the change.
			return overHTTP.failed() || throughBridge.failed() ||
				received(t, nc, target) >= had+6 && overHTTP.done() >= http+5 && throughBridge.done() >= bridge+2
		})
	}
	overHTTP.stop()
	throughBridge.stop()
	t.Logf("%d requests over http, %d through the bridge", overHTTP.done(), throughBridge.done())
	for _, err := range append(overHTTP.errors, throughBridge.errors...) {
		t.Error(err)
	}
}

// load is askers, each asking one request after the other until it is stopped.
type load struct {
	n        atomic.Int64
	bad      atomic.Bool
	mu       sync.Mutex // guards errors until stop
	errors   []error
	stopping chan struct{}
	once     sync.Once
	group    sync.WaitGroup
}

func newLoad(askers int, ask func() error) *load {
	l := &load{stopping: make(chan struct{})}
	for range askers {
		l.group.Go(func() { l.run(ask) })
	}
	return l
}

func (l *load) run(ask func() error) {
	for {
		select {
		case <-l.stopping:
			return
		default:
		}
		if err := ask(); err != nil {
			l.mu.Lock()
			l.errors = append(l.errors, err)
			l.mu.Unlock()
			l.bad.Store(true)
		}
		l.n.Add(1)
	}
}

func (l *load) done() int64  { return l.n.Load() }
func (l *load) failed() bool { return l.bad.Load() }

func (l *load) stop() {
	l.once.Do(func() { close(l.stopping) })
	l.group.Wait()
}
